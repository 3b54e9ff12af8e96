"""Parses documents that PyMongo encoded."""

import struct
import uuid

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import OLD_UUID_SUBTYPE
from bson.son import SON
from hypothesis import given
from hypothesis import strategies as st

from catalog import product_key
from catalog.formats import bson_document
from catalog.schema import fields, product_document
from catalog.schema.product_document import Schema

IMGS = [{'picture': b'first'}, {'picture': b'second picture'}]


def pictures_of(data: bytes, product: product_document.Product) -> list[bytes]:
    return [data[offset : offset + length] for offset, length in product.pictures]


@pytest.mark.parametrize(
    'fields',
    [
        SON([('_id', 7), ('imgs', IMGS), ('category_id', 1000010653)]),
        SON([('category_id', 1000010653), ('imgs', IMGS), ('_id', 7)]),
        SON([('imgs', IMGS), ('_id', Int64(7)), ('category_id', Int64(1000010653))]),
    ],
)
def test_keys_may_be_in_any_order_and_numbers_of_either_width(fields: SON) -> None:
    data = bson.encode(fields)
    product = product_document.parse(data)
    assert (product.product_id, product.category_id) == (7, 1000010653)
    assert pictures_of(data, product) == [b'first', b'second picture']


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        ('shoes', 'shoes'),
        (ObjectId('5f' * 12), '5f' * 12),
        (Binary(bytes(range(16)), 4), '00010203-0405-0607-0809-0a0b0c0d0e0f'),
    ],
)
def test_a_category_may_be_a_text_or_refer_to_a_document(value: object, text: str) -> None:
    product = product_document.parse(bson.encode({'_id': 7, 'imgs': IMGS, 'category_id': value}))
    assert (product.category, product.category_id) == (text, None)


def test_the_category_is_optional() -> None:
    assert product_document.parse(bson.encode({'_id': 7, 'imgs': IMGS})).category_id is None


def test_unknown_fields_of_every_type_are_skipped() -> None:
    extra = SON(
        double=1.5,
        string='été',
        nested={'_id': 9, 'imgs': []},
        array=[1, 'two', {'three': 3}],
        binary=b'\x00\x01',
        old=Binary(b'abc', 2),
        oid=ObjectId(),
        yes=True,
        nothing=None,
        regex=Regex('a.*', 'i'),
        reference=DBRef('c', 1),
        code=Code('f()'),
        scoped=Code('f()', {'x': 1}),
        int32=1,
        time=Timestamp(1, 2),
        int64=Int64(1),
        decimal=Decimal128('1.5'),
        low=MinKey(),
        high=MaxKey(),
    )
    data = bson.encode(SON([*extra.items(), ('_id', 7), ('imgs', IMGS)]))
    product = product_document.parse(data)
    assert product.product_id == 7
    assert pictures_of(data, product) == [b'first', b'second picture']


def test_an_old_binary_is_parsed_without_its_inner_length() -> None:
    data = bson.encode({'_id': 7, 'imgs': [{'picture': Binary(b'bytes', 2)}]})
    assert pictures_of(data, product_document.parse(data)) == [b'bytes']


def test_a_document_is_parsed_at_an_offset() -> None:
    data = b'before' + bson.encode({'_id': 7, 'imgs': IMGS}) + b'after'
    assert pictures_of(data, product_document.parse(data, 6)) == [b'first', b'second picture']


@pytest.mark.parametrize(
    ('fields', 'reason'),
    [
        ({'imgs': IMGS}, 'no_id'),
        ({'_id': 7}, 'no_pictures'),
        ({'_id': 7, 'imgs': []}, 'no_pictures'),
        ({'_id': '7', 'imgs': IMGS}, 'wrong_type'),
        ({'_id': '', 'imgs': IMGS}, 'wrong_type'),
        ({'_id': 7.5, 'imgs': IMGS}, 'wrong_type'),
        ({'_id': 2.0**63, 'imgs': IMGS}, 'wrong_type'),
        ({'_id': float('nan'), 'imgs': IMGS}, 'wrong_type'),
        ({'_id': Decimal128('1E+6000'), 'imgs': IMGS}, 'wrong_type'),
        ({'_id': Decimal128('NaN'), 'imgs': IMGS}, 'wrong_type'),
        ({'_id': None, 'imgs': IMGS}, 'wrong_type'),
        ({'_id': True, 'imgs': IMGS}, 'wrong_type'),
        ({'_id': b'1234567890abcdef', 'imgs': IMGS}, 'wrong_type'),
        ({'_id': 7, 'imgs': 'x'}, 'wrong_type'),
        ({'_id': 7, 'imgs': {'front': b'x'}}, 'wrong_type'),
        ({'_id': 7, 'imgs': [None, None]}, 'wrong_type'),
        ({'_id': 7, 'imgs': ['x']}, 'wrong_type'),
        ({'_id': 7, 'imgs': [{'photo': b'x'}]}, 'wrong_type'),
        ({'_id': 7, 'imgs': IMGS, 'category_id': True}, 'wrong_type'),
    ],
)
def test_a_document_that_is_not_a_product_is_rejected_with_a_reason(
    fields: dict, reason: str
) -> None:
    with pytest.raises(bson_document.BadDocument) as caught:
        product_document.parse(bson.encode(fields))
    assert caught.value.reason == reason


def test_a_binary_of_the_old_subtype_may_be_empty() -> None:
    data = bson.encode({'_id': 7, 'imgs': [{'picture': b''}], 'category_id': 1})
    at = data.index(b'\x05picture\0') + len(b'\x05picture\0')
    old = data[: at + 4] + b'\x02' + data[at + 5 :]
    assert product_document.parse(old).pictures == ((at + 5, 0),)


def test_a_truncated_document_is_rejected_at_every_length() -> None:
    data = bson.encode({'_id': 7, 'imgs': IMGS, 'category_id': 1})
    for length in range(len(data)):
        with pytest.raises(bson_document.BadDocument):
            product_document.parse(data[:length])


@given(position=st.integers(0, 200), value=st.integers(0, 255))
def test_a_changed_document_is_parsed_as_pymongo_parses_it(position: int, value: int) -> None:
    changed = bytearray(bson.encode({'_id': 7, 'imgs': IMGS, 'category_id': 1, 'name': 'x' * 80}))
    changed[position % len(changed)] = value
    data = bytes(changed)
    try:
        product = product_document.parse(data)
        fields = bson.decode(data)
    except (bson_document.BadDocument, bson.errors.InvalidBSON):
        return  # rejected, or PyMongo rejects text that is not UTF-8, which the parser skips
    assert fields['_id'] == product.product_id
    assert fields.get('category_id') == product.category_id
    expected = [bytes(image.get('picture') or b'') for image in fields['imgs']]
    assert pictures_of(data, product) == expected


def test_the_end_of_a_document_with_a_damaged_length_is_found() -> None:
    data = bson.encode({'_id': 7, 'imgs': IMGS, 'category_id': 1})
    damaged = struct.pack('<i', -5) + data[4:] + b'next'
    product, end = product_document.parse_elements(damaged, 0, len(damaged))
    assert (product.product_id, end) == (7, len(data))


ANY_ID = Schema(text_ids=True)
UUID_VALUE = uuid.UUID('12345678-1234-5678-1234-567812345678')
OBJECT_ID = ObjectId('0123456789abcdef01234567')


@pytest.mark.parametrize(
    ('value', 'product_id'),
    [(7.0, 7), (-0.0, 0), (Decimal128('7'), 7), (Decimal128('70E-1'), 7), (Int64(2**62), 2**62)],
)
def test_an_integral_number_of_any_type_is_an_integer_id(value: object, product_id: int) -> None:
    data = bson.encode({'_id': value, 'imgs': IMGS, 'category_id': value})
    product = product_document.parse(data)
    assert (product.product_id, product.category_id, product.key) == (product_id, product_id, '')


@pytest.mark.parametrize(
    ('value', 'kind', 'text'),
    [
        ('SKU-1', 'string', 'SKU-1'),
        ('7', 'string', '7'),
        (OBJECT_ID, 'objectid', str(OBJECT_ID)),
        (Binary.from_uuid(UUID_VALUE), 'uuid', str(UUID_VALUE)),
        (Binary(UUID_VALUE.bytes, OLD_UUID_SUBTYPE), 'uuid', str(UUID_VALUE)),
    ],
)
def test_any_other_id_is_a_key(value: object, kind: str, text: str) -> None:
    data = bson.encode({'_id': value, 'imgs': IMGS})
    product = product_document.parse(data, schema=ANY_ID)
    assert (product.product_id, product.key) == (product_key.product_id(kind, text), text)
    with pytest.raises(bson_document.BadDocument, match='as in the first documents'):
        product_document.parse(data)


@pytest.mark.parametrize(('value', 'reason'), [('', 'no_id'), ('x' * 256, 'key_too_long')])
def test_a_key_has_a_length_within_limits(value: str, reason: str) -> None:
    with pytest.raises(bson_document.BadDocument) as caught:
        product_document.parse(bson.encode({'_id': value, 'imgs': IMGS}), schema=ANY_ID)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    'imgs', [[b'one', b'two'], [{'picture': b'one'}, b'two'], [b'one', {'picture': b'two', 'n': 1}]]
)
def test_pictures_may_be_binaries_in_the_array(imgs: list) -> None:
    data = bson.encode({'_id': 7, 'imgs': imgs})
    assert pictures_of(data, product_document.parse(data)) == [b'one', b'two']


@pytest.mark.parametrize('imgs', [b'one', {'picture': b'one'}])
def test_pictures_may_be_one_binary(imgs: object) -> None:
    data = bson.encode({'_id': 7, 'imgs': imgs})
    assert pictures_of(data, product_document.parse(data)) == [b'one']


@pytest.mark.parametrize(
    ('bad', 'reason', 'got'),
    [
        (None, 'missing', 'an element of imgs must be a binary, got null'),
        ({'picture': None}, 'missing', 'imgs.picture must be a binary, got null'),
        ({'alt': 'x'}, 'missing', 'imgs.picture must be a binary, got none'),
        ({'picture': 'x'}, 'wrong_type', 'imgs.picture must be a binary, got string'),
    ],
)
def test_a_missing_picture_costs_one_picture(bad: object, reason: str, got: str) -> None:
    data = bson.encode({'_id': 7, 'imgs': [{'picture': b'one'}, bad, {'picture': b'two'}]})
    product = product_document.parse(data)
    assert pictures_of(data, product) == [b'one', b'', b'two']
    ((index, error),) = product.unreadable
    assert (index, error.reason, str(error)) == (1, reason, got)


def test_fields_are_renamed_with_paths_into_nested_documents() -> None:
    names = fields.parse(
        ['_id=sku', 'imgs=media.images', 'picture=file.data', 'category_id=c.0.id']
    )
    data = bson.encode(
        {
            '_id': OBJECT_ID,
            'media': {'videos': [], 'images': [{'file': {'name': 'x', 'data': b'one'}}]},
            'sku': 'SKU-1',
            'c': [{'id': 'shoes'}, {'id': 'other'}],
        }
    )
    product = product_document.parse(data, schema=Schema(names, text_ids=True))
    assert (product.key, product.category, product.category_id) == ('SKU-1', 'shoes', None)
    assert pictures_of(data, product) == [b'one']


def test_a_renamed_document_is_rejected_at_every_length() -> None:
    names = fields.parse(['imgs=media.images', 'category_id=c.id'])
    data = bson.encode({'_id': 1, 'media': {'images': IMGS}, 'c': {'id': 2}})
    for length in range(len(data)):
        with pytest.raises(bson_document.BadDocument):
            product_document.parse(data[:length], schema=Schema(names))


def test_an_error_has_the_key_of_its_product() -> None:
    with pytest.raises(bson_document.BadDocument) as caught:
        product_document.parse(bson.encode({'_id': 'SKU-1', 'imgs': []}), schema=ANY_ID)
    assert caught.value.key == 'SKU-1'
    assert caught.value.product_id == product_key.product_id('string', 'SKU-1')


def test_the_schema_is_recognized_from_the_first_documents() -> None:
    numbers = [bson.encode({'_id': n, 'imgs': IMGS}) for n in range(3)]
    assert product_document.recognize(numbers, fields.OWN_NAMES) == product_document.USUAL
    texts = [bson.encode({'sku': 'x', 'imgs': IMGS}), *numbers]
    found = product_document.recognize(texts, fields.parse(['_id=sku']))
    assert (found.text_ids, found.first_field) == (True, b'sku')
