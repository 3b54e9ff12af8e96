"""Every document of a BSON file is scanned once, for any ranges and any content."""

import struct
import tempfile
from collections import Counter
from pathlib import Path

import bson
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from beam_pipelines.ledger import Counts
from beam_pipelines.scan import scan, seams
from beam_pipelines.scan.seams import Edge
from beam_pipelines.table import Table, join
from catalog import storage
from catalog.formats import containers
from catalog.sources import bson_files, bson_walk
from catalog.sources.source import Range, Rejected
from tests.shop import CATEGORY_IDS, TREE, jpeg, product


def scan_all(path: Path, *, range_bytes: int) -> tuple[Table, list[Rejected], Counts]:
    """Scans a file in ranges as the job does: scan, prove, scan again where the proof fails."""
    source = bson_files.open_files([str(path)])

    def scan_range(part: Range) -> scan.Scan:
        return scan.scan_range(source, part, categories=TREE, decode=False)

    scans = [scan_range(part) for part in source.split(range_bytes=range_bytes)]
    edges = [Edge(found.range, found.first, found.end) for found in scans]
    proof = seams.prove(edges, lambda part: scan.read_to_end(source, part))
    correct = [s for s in scans if (s.range.file, s.range.start) in proof.proven]
    correct += [scan_range(part) for part in proof.again.values()]
    counts = Counts()
    for found in correct:
        counts.add(found.counts)
    rejected = sorted(
        (r for found in correct for r in found.rejected.sorted()), key=lambda r: r.offset
    )
    return join(found.table for found in correct), rejected, counts


def pictures_by_product(path: Path, table: Table) -> dict[int, list[bytes]]:
    source = bson_files.open_files([str(path)])
    found: dict[int, list[bytes]] = {}
    rows = table[np.lexsort([table['index'], table['product_id']])]
    for row, picture in zip(rows, source.fetch(rows), strict=True):
        found.setdefault(int(row['product_id']), []).append(picture)
    return found


def nested(depth: int) -> bytes:
    """A picture that contains a product, whose picture contains one, and so on."""
    data = jpeg(1)
    for level in range(depth):
        data = jpeg(1)[:-2] + product(1000 + level, CATEGORY_IDS[0], [data]) + b'\xff\xd9'
    return data


def expected(path: Path) -> dict[int, list[bytes]]:
    with path.open('rb') as file:
        return {
            fields['_id']: [image['picture'] for image in fields['imgs']]
            for fields in bson.decode_file_iter(file)
        }


@pytest.mark.parametrize('range_bytes', [64, 65, 100, 777, 1000, 4096, 30_000, 1 << 20])
def test_documents_inside_pictures_are_never_taken_for_products(
    range_bytes: int, tmp_path: Path
) -> None:
    path = tmp_path / 'train.bson'
    documents = [
        product(number, CATEGORY_IDS[number % 4], [nested(30), jpeg(number)])
        if number % 3
        else product(number, CATEGORY_IDS[0], [jpeg(number)])
        for number in range(9)
    ]
    path.write_bytes(b''.join(documents))
    table, rejected, counts = scan_all(path, range_bytes=range_bytes)
    assert pictures_by_product(path, table) == expected(path)
    assert not rejected
    assert counts.documents == Counter(read=9)
    assert counts.pictures == Counter(read=15)


def test_a_cut_at_every_byte_gives_the_same_documents(tmp_path: Path) -> None:
    path = tmp_path / 'train.bson'
    inner = product(5, CATEGORY_IDS[0], [b'\xff\xd8'])
    picture = jpeg(1)[:-2] + inner + b'\xff\xd9'
    path.write_bytes(
        product(1, CATEGORY_IDS[0], [picture]) + product(2, CATEGORY_IDS[1], [picture])
    )
    wanted = expected(path)
    for range_bytes in range(1, path.stat().st_size + 1, 7):
        table, rejected, _ = scan_all(path, range_bytes=range_bytes)
        assert pictures_by_product(path, table) == wanted, range_bytes
        assert not rejected


@pytest.mark.parametrize('range_bytes', [64, 1000, 1 << 20])
@pytest.mark.parametrize('cut_bytes', [1, 3, 30])
def test_a_truncated_document_is_rejected_and_all_others_are_read(
    cut_bytes: int, range_bytes: int, tmp_path: Path
) -> None:
    path = tmp_path / 'train.bson'
    documents = [product(number, CATEGORY_IDS[0], [jpeg(number)]) for number in range(5)]
    path.write_bytes(b''.join(documents)[:-cut_bytes])
    table, rejected, counts = scan_all(path, range_bytes=range_bytes)
    assert sorted(table['product_id']) == [0, 1, 2, 3]
    start = sum(map(len, documents[:4]))
    assert [(r.reason, r.offset, r.length) for r in rejected] == [
        ('cut_off', start, len(documents[4]) - cut_bytes)
    ]
    assert counts.documents == Counter(read=5, rejected_cut_off=1)


@pytest.mark.parametrize('range_bytes', [64, 1000, 1 << 20])
@pytest.mark.parametrize('length', [0, 4, -1, -(2**31), 2**31 - 1, 7, 100_000])
@pytest.mark.parametrize('name', [b'', b'\x04imgs\0', b'\x030\0', b'\x05picture\0'])
def test_a_damaged_length_rejects_only_its_own_document(
    name: bytes, length: int, range_bytes: int, tmp_path: Path
) -> None:
    """The length of the document, of its array, of a document in that, of the picture in this."""
    path = tmp_path / 'train.bson'
    documents = [product(number, CATEGORY_IDS[0], [jpeg(number)]) for number in range(5)]
    at = documents[2].index(name) + len(name)
    documents[2] = documents[2][:at] + struct.pack('<i', length) + documents[2][at + 4 :]
    path.write_bytes(b''.join(documents))
    table, rejected, counts = scan_all(path, range_bytes=range_bytes)
    assert sorted(table['product_id']) == [0, 1, 3, 4]
    assert [(r.offset, r.length) for r in rejected] == [
        (len(documents[0] + documents[1]), len(documents[2]))
    ]
    assert counts.documents['read'] == 5


@pytest.mark.parametrize('range_bytes', [64, 1000, 1 << 20])
def test_garbage_between_documents_is_one_rejected_piece(range_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / 'train.bson'
    garbage = np.random.default_rng(0).bytes(5000)
    first, second = (product(number, CATEGORY_IDS[0], [jpeg(number)]) for number in (1, 2))
    path.write_bytes(first + garbage + second)
    table, rejected, _ = scan_all(path, range_bytes=range_bytes)
    assert sorted(table['product_id']) == [1, 2]
    assert [(r.reason, r.offset, r.length) for r in rejected] == [('garbage', len(first), 5000)]


def test_a_bad_last_byte_and_a_wrong_type_reject_only_their_own_document(tmp_path: Path) -> None:
    path = tmp_path / 'train.bson'
    documents = [product(number, CATEGORY_IDS[0], [jpeg(number)]) for number in range(4)]
    documents[1] = documents[1][:-1] + b'\x01'
    documents[2] = bson.encode({'_id': 'two', 'imgs': [{'picture': jpeg(2)}]})
    path.write_bytes(b''.join(documents))
    table, rejected, counts = scan_all(path, range_bytes=500)
    assert sorted(table['product_id']) == [0, 3]
    assert sum(r.length for r in rejected) == len(documents[1]) + len(documents[2])
    assert counts.documents['read'] == 2 + len(rejected)


def test_rejected_documents_and_pictures_are_counted_by_reason(tmp_path: Path) -> None:
    path = tmp_path / 'train.bson'
    documents = [
        product(0, CATEGORY_IDS[0], [jpeg(0)]),
        product(1, 42, [jpeg(1), jpeg(2)]),
        product(2, None, [jpeg(3)]),
        product(3, CATEGORY_IDS[0], []),
        bson.encode({'_id': 4, 'category_id': CATEGORY_IDS[0]}),
        product(5, CATEGORY_IDS[0], [b'', jpeg(5), b'not a picture']),
        product(6, CATEGORY_IDS[0], [b'']),
    ]
    path.write_bytes(b''.join(documents))
    table, rejected, counts = scan_all(path, range_bytes=1 << 20)
    assert [(row['product_id'], row['index']) for row in table] == [(0, 0), (5, 1)]
    assert counts.documents == Counter(
        read=7,
        rejected_unknown_category=1,
        rejected_unlabelled=1,
        rejected_no_pictures=2,
        rejected_no_usable_picture=1,
    )
    assert counts.pictures == Counter(
        read=8,
        rejected_unknown_category=2,
        rejected_unlabelled=1,
        rejected_empty=2,
        rejected_not_a_picture=1,
    )
    source = bson_files.open_files([str(path)])
    kept = {r.product_id: source.fetch_rejected(r) for r in rejected if r.picture is None}
    assert kept == {1: documents[1], 2: documents[2], 3: documents[3], 4: documents[4]}


@given(data=st.data())
def test_any_damage_leaves_every_byte_in_one_piece_for_any_ranges(data: st.DataObject) -> None:
    """Fuzz: patch bytes anywhere; the pieces tile the file, the same for all range sizes."""
    documents = [product(n, CATEGORY_IDS[n % 4], [nested(n % 3), b'x' * n]) for n in range(6)]
    content = bytearray(b''.join(documents))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(content) - 5))
        patch = data.draw(st.binary(min_size=1, max_size=5))
        content[at : at + len(patch)] = patch
    assume(containers.recognize(bytes(content[: containers.HEAD_BYTES])) is None)
    cut = data.draw(st.integers(0, 40))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'train.bson'
        path.write_bytes(content[: len(content) - cut])
        results = []
        for range_bytes in (97, 1000, 1 << 20):
            table, rejected, counts = scan_all(path, range_bytes=range_bytes)
            table.sort(order=['offset'])
            results.append((table.tobytes(), rejected, counts))
        assert results[0] == results[1] == results[2]
        size = path.stat().st_size
        with storage.open_reader(str(path)) as reader:
            walked = bson_walk.walk(bson_walk.Window(reader, size), start=0, stop=size)
            edges = [0, *(edge for piece in walked for edge in (piece.start, piece.end)), size]
        assert edges[::2] == edges[1::2]
