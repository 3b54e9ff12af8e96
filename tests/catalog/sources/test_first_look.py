"""A wrong input is recognised by its first bytes or documents, and the error says what to do."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import bson
import pyarrow
import pytest
from bson import ObjectId
from PIL import Image
from pyarrow import orc
from pymongo import MongoClient

from catalog.errors import UserError
from catalog.formats import containers, tfrecord
from catalog.sources import first_look, opening
from tests.shop import CATEGORY_IDS, TREE, jpeg, product

DUMP = b''.join(product(n, CATEGORY_IDS[n % 4], [jpeg(n)]) for n in range(8))


def zipped(name: str = 'train.bson') -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr(name, DUMP)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w') as archive:
        entry = tarfile.TarInfo('train.bson')
        entry.size = len(DUMP)
        archive.addfile(entry, io.BytesIO(DUMP))
    return file.getvalue()


def orc_file() -> bytes:
    file = io.BytesIO()
    orc.write_table(pyarrow.table({'_id': [1, 2]}), file)
    return file.getvalue()


def image(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new('RGB', (8, 8)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ('data', 'name', 'remedy'),
    [
        (zipped(), 'a zip archive', 'unpack it first'),
        (zipped('[Content_Types].xml'), 'a spreadsheet', 'save it as CSV'),
        (zipped('xl/worksheets/sheet1.xml'), 'a spreadsheet', 'save it as CSV'),
        (b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1' + DUMP, 'an old Excel workbook', 'save it as CSV'),
        (lzma.compress(DUMP), 'an xz file', 'xz -d'),
        (lzma.compress(DUMP, lzma.FORMAT_ALONE), 'an LZMA file', 'unlzma'),
        (lzma.compress(DUMP, lzma.FORMAT_ALONE, preset=0), 'an LZMA file', 'unlzma'),
        (lzma.compress(DUMP, lzma.FORMAT_ALONE, preset=9), 'an LZMA file', 'unlzma'),
        (b'\x5d\0\0\x80\0' + struct.pack('<q', 10**6) + bytes(20), 'an LZMA file', 'unlzma'),
        (b'\x1f\x9d\x90' + DUMP, 'a .Z file', 'gunzip'),
        (orc_file(), 'an ORC file', 'mongodump'),
        (pickle.dumps([DUMP], 2), 'a Python pickle', 'mongodump'),
        (pickle.dumps({'a': 1}, 3), 'a Python pickle', 'mongodump'),
        (pickle.dumps(DUMP, 4), 'a Python pickle', 'mongodump'),
        (pickle.dumps({'a': DUMP}, 5), 'a Python pickle', 'mongodump'),
        (tfrecord.frame(DUMP), 'a TFRecord file', 'not shards'),
        (bz2.compress(DUMP), 'a bzip2 file', 'bunzip2'),
        (b'\x28\xb5\x2f\xfd' + DUMP, 'a zstd file', 'zstd -d'),
        (b'\x04\x22\x4d\x18' + DUMP, 'an lz4 file', 'lz4 -d'),
        (b'ARROW1\0\0' + DUMP, 'an Arrow file', 'mongodump'),
        (b'Obj\x01' + DUMP, 'an Avro file', 'mongodump'),
        (b'\x93NUMPY\x01\0' + DUMP, 'a NumPy array', 'mongodump'),
        (tarred(), 'a tar archive', 'unpack it first'),
        (gzip.compress(DUMP), 'a gzip file', 'a name that ends with .gz'),
        (struct.pack('<I', 0x8199E26D) + DUMP, 'an archive of mongodump', 'without --archive'),
        (b'\n<!DOCTYPE html><html>', 'an HTML page', 'the download failed'),
        (b"<?xml version='1.0'?><Error>", 'an XML document', 'the download failed'),
        (json.dumps({'_id': 1}).encode(), 'JSON text', 'mongodump'),
        (json.dumps([{'_id': 1}]).encode('utf-16'), 'JSON text', 'mongodump'),
        (b'path,category\na.jpg,7\n', 'text', '.csv'),
        ('photo;catégorie\nété.jpg;7\n'.encode(), 'text', '.csv'),
        ('photo;catégorie\nété.jpg;7\n'.encode('cp1252'), 'text', '.csv'),
        (image('JPEG'), 'a JPEG image', 'DIR/CATEGORY'),
        (image('PNG'), 'a PNG image', 'DIR/CATEGORY'),
        (image('GIF'), 'a GIF image', 'DIR/CATEGORY'),
        (image('WEBP'), 'a WebP image', 'DIR/CATEGORY'),
        (image('AVIF'), 'a HEIC or AVIF image', 'DIR/CATEGORY'),
        (image('TIFF'), 'a TIFF image', 'DIR/CATEGORY'),
        (b'version https://git-lfs.github.com/spec/v1\n', 'a pointer of Git LFS', 'git lfs pull'),
    ],
)
def test_another_format_is_named_with_what_to_do(
    data: bytes, name: str, remedy: str, tmp_path: Path
) -> None:
    plain, packed = tmp_path / 'train.bson', tmp_path / 'packed.bson.gz'
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data))
    for path, shown in ((plain, f'{plain}'), (packed, f'{packed}, unpacked')):
        with pytest.raises(UserError) as caught:
            opening.open_source([str(path)], tree=None)
        message = str(caught.value)
        assert message.startswith(f'{shown}: must be BSON documents, got {name}')
        assert remedy in message


@pytest.mark.parametrize('length', [0x43524F, 0x950480, 0x04005D, 0x5D])
def test_no_document_is_taken_for_another_format(length: int) -> None:
    # These lengths are the first bytes of ORC, a pickle and LZMA.
    for name in (b'_id', b'imgs', 'é'.encode(), b''):
        head = struct.pack('<iB', length, 0x10) + name + b'\0' + bytes(490)
        assert containers.recognize(head) is None


@pytest.mark.parametrize(
    ('data', 'name'),
    [(DUMP, 'BSON documents; give it a name that does not end'), (zipped(), 'a zip archive')],
)
def test_a_file_that_is_gzip_only_by_its_name_is_named(
    data: bytes, name: str, tmp_path: Path
) -> None:
    path = tmp_path / 'train.bson.gz'
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        opening.open_source([str(path)], tree=None)
    assert f'{path}: must be gzip, as its name says, got {name}' in str(caught.value)


def test_gzip_is_read_under_a_name_in_capitals(tmp_path: Path) -> None:
    path = tmp_path / 'TRAIN.BSON.GZ'
    path.write_bytes(gzip.compress(DUMP))
    assert opening.open_source([str(path)], tree=None).total_bytes() == len(DUMP)


GOOD: dict[str, Any] = {'_id': 1, 'imgs': [{'picture': jpeg(1)}], 'category_id': CATEGORY_IDS[0]}


def without(name: str, **others: object) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name} | others


@pytest.mark.parametrize(
    ('fields', 'found', 'reason'),
    [
        (GOOD | {'_id': True}, '_id: boolean,', 'string, ObjectId or UUID, got boolean'),
        (GOOD | {'_id': 1.5}, '_id: double,', 'an integer of 64 bits, got double 1.5'),
        (
            without('_id'),
            '{imgs: [{picture: binary}],',
            'a product must have the field _id, got none',
        ),
        (GOOD | {'category_id': '7'}, 'category_id: string}', "category_id '7' is not in the"),
        (GOOD | {'category_id': None}, 'category_id: null}', '--unlabelled'),
        (
            GOOD | {'category_id': True},
            'category_id: boolean}',
            'ObjectId or UUID, got boolean; convert',
        ),
        (without('category_id', category={'id': 7}), 'category: {id: int32}}', '--unlabelled'),
        (GOOD | {'category_id': 42}, 'category_id: int32}', 'category_id 42 is not in the cat'),
        (GOOD | {'imgs': [{'picture': 'x'}]}, 'imgs: [{picture: string}],', 'binary, got string'),
        (GOOD | {'imgs': [ObjectId()]}, 'imgs: [ObjectId],', 'imgs must be a binary, got Object'),
        (GOOD | {'imgs': [{'picture': None}]}, 'imgs: [{picture: null}],', 'binary, got null'),
        # What --fields can name is proposed.
        (without('imgs', images=GOOD['imgs']), 'images: [{', 'none; try --fields=imgs=images'),
        (GOOD | {'imgs': [{'data': jpeg(1)}]}, 'imgs: [{data', 'try --fields=picture=data'),
        (
            without('imgs', media={'photos': [{'id': 1, 'file': {'data': jpeg(1)}}]}),
            'media: {photos: [',
            'try --fields=imgs=media.photos,picture=file.data',
        ),
        (without('imgs', front=jpeg(1)), 'front: binary', 'try --fields=imgs=front'),
        (
            without('category_id', price=CATEGORY_IDS[1], cat={'leaf': CATEGORY_IDS[0]}),
            'cat: {leaf: int32}',
            'without; try --fields=category_id=cat.leaf',
        ),
        (without('_id', sku='SKU-1', ean='4'), 'sku: string', 'try --fields=_id=sku'),
    ],
)
def test_another_schema_is_described_with_what_is_expected(
    fields: dict[str, Any], found: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / 'train.bson'
    path.write_bytes(bson.encode(fields) * 3)
    source = opening.open_source([str(path)], tree=None)
    with pytest.raises(UserError) as caught:
        first_look.check_products(source, TREE)
    message = str(caught.value)
    assert message.startswith(
        f'{path}: must contain products {{_id: integer, string, ObjectId or UUID, imgs: '
        '[{picture: binary}], category_id: integer, string, ObjectId or UUID}, got 3 documents '
        'without a usable one, {'
    )
    assert found in message
    assert reason in message


def test_one_usable_document_is_enough(tmp_path: Path) -> None:
    path = tmp_path / 'train.bson'
    path.write_bytes(bson.encode({'name': 'of a user'}) * 150 + bytes(5000) + DUMP)
    first_look.check_products(opening.open_source([str(path)], tree=None), TREE)
    unlabelled = tmp_path / 'test.bson'
    unlabelled.write_bytes(product(1, None, [jpeg(1)]))
    first_look.check_products(opening.open_source([str(unlabelled)], tree=None), None)


def test_a_dump_with_a_zeroed_beginning_is_not_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / 'train.bson'
    with path.open('wb') as file:
        file.truncate(70 << 20)
        file.seek(40 << 20)
        file.write(DUMP)
    first_look.check_products(opening.open_source([str(path)], tree=None), TREE)


@pytest.mark.parametrize('size', [3, 5000, 40 << 20])
def test_bytes_that_are_no_documents_are_refused(size: int, tmp_path: Path) -> None:
    path = tmp_path / 'train.bson'
    path.write_bytes(bytes(size))
    with pytest.raises(UserError, match='must contain BSON documents, got data of an unknown'):
        first_look.check_products(opening.open_source([str(path)], tree=None), TREE)


def test_a_collection_of_another_schema_is_described(mongodb_server: str) -> None:
    with MongoClient(mongodb_server) as client:
        client['shop']['other_schema'].insert_many(
            [{'_id': n, 'images': [{'data': jpeg(n)}], 'price': 1.5} for n in range(5)]
        )
    source = opening.open_source([f'{mongodb_server}/shop.other_schema'], tree=None)
    with pytest.raises(UserError) as caught:
        first_look.check_products(source, TREE)
    assert 'other_schema: must contain products' in str(caught.value)
    assert '{_id: int32, images: [{data: binary}], price: double}' in str(caught.value)
