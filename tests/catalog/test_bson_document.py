"""Parses documents that PyMongo encoded."""

import struct

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.son import SON
from hypothesis import given
from hypothesis import strategies as st

from catalog.formats import bson_document

IMGS = [{'picture': b'first'}, {'picture': b'second picture'}]


def pictures_of(data: bytes, product: bson_document.Product) -> list[bytes]:
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
    product = bson_document.parse(data)
    assert (product.product_id, product.category_id) == (7, 1000010653)
    assert pictures_of(data, product) == [b'first', b'second picture']


def test_the_category_is_optional() -> None:
    assert bson_document.parse(bson.encode({'_id': 7, 'imgs': IMGS})).category_id is None


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
    product = bson_document.parse(data)
    assert product.product_id == 7
    assert pictures_of(data, product) == [b'first', b'second picture']


def test_an_old_binary_is_parsed_without_its_inner_length() -> None:
    data = bson.encode({'_id': 7, 'imgs': [{'picture': Binary(b'bytes', 2)}]})
    assert pictures_of(data, bson_document.parse(data)) == [b'bytes']


def test_a_document_is_parsed_at_an_offset() -> None:
    data = b'before' + bson.encode({'_id': 7, 'imgs': IMGS}) + b'after'
    assert pictures_of(data, bson_document.parse(data, 6)) == [b'first', b'second picture']


@pytest.mark.parametrize(
    ('fields', 'reason'),
    [
        ({'imgs': IMGS}, 'no_id'),
        ({'_id': 7}, 'no_pictures'),
        ({'_id': 7, 'imgs': []}, 'no_pictures'),
        ({'_id': '7', 'imgs': IMGS}, 'wrong_type'),
        ({'_id': 7, 'imgs': b'x'}, 'wrong_type'),
        ({'_id': 7, 'imgs': [b'x']}, 'wrong_type'),
        ({'_id': 7, 'imgs': [{'photo': b'x'}]}, 'wrong_type'),
        ({'_id': 7, 'imgs': IMGS, 'category_id': 'x'}, 'wrong_type'),
    ],
)
def test_a_document_that_is_not_a_product_is_rejected_with_a_reason(
    fields: dict, reason: str
) -> None:
    with pytest.raises(bson_document.BadDocument) as caught:
        bson_document.parse(bson.encode(fields))
    assert caught.value.reason == reason


def test_a_binary_of_the_old_subtype_may_be_empty() -> None:
    data = bson.encode({'_id': 7, 'imgs': [{'picture': b''}], 'category_id': 1})
    at = data.index(b'\x05picture\0') + len(b'\x05picture\0')
    old = data[: at + 4] + b'\x02' + data[at + 5 :]
    assert bson_document.parse(old).pictures == ((at + 5, 0),)


def test_a_truncated_document_is_rejected_at_every_length() -> None:
    data = bson.encode({'_id': 7, 'imgs': IMGS, 'category_id': 1})
    for length in range(len(data)):
        with pytest.raises(bson_document.BadDocument):
            bson_document.parse(data[:length])


@given(position=st.integers(0, 200), value=st.integers(0, 255))
def test_a_changed_document_is_parsed_as_pymongo_parses_it(position: int, value: int) -> None:
    changed = bytearray(bson.encode({'_id': 7, 'imgs': IMGS, 'category_id': 1, 'name': 'x' * 80}))
    changed[position % len(changed)] = value
    data = bytes(changed)
    try:
        product = bson_document.parse(data)
        fields = bson.decode(data)
    except (bson_document.BadDocument, bson.errors.InvalidBSON):
        return  # rejected, or PyMongo rejects text that is not UTF-8, which the parser skips
    assert fields['_id'] == product.product_id
    assert fields.get('category_id') == product.category_id
    assert [bytes(image['picture']) for image in fields['imgs']] == pictures_of(data, product)


def test_the_end_of_a_document_with_a_damaged_length_is_found() -> None:
    data = bson.encode({'_id': 7, 'imgs': IMGS, 'category_id': 1})
    damaged = struct.pack('<i', -5) + data[4:] + b'next'
    product, end = bson_document.parse_elements(damaged, 0, len(damaged))
    assert (product.product_id, end) == (7, len(data))
