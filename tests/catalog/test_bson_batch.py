"""Compares parsing in batches with parsing one by one."""

import bson
from bson import Int64
from bson.son import SON
from hypothesis import given
from hypothesis import strategies as st

from catalog.formats import bson_batch, bson_document
from catalog.schema import product_document

IMGS = [{'picture': b'first'}, {'picture': b'second picture'}]
USUAL = [
    bson.encode(SON([('_id', number), ('imgs', IMGS[: 1 + number % 2]), ('category_id', -number)]))
    for number in range(9)
]
OTHERS = [
    bson.encode(SON([('category_id', 1), ('imgs', IMGS), ('_id', 7)])),
    bson.encode(SON([('_id', Int64(7)), ('imgs', IMGS), ('category_id', 1)])),
    bson.encode(SON([('_id', 7), ('imgs', IMGS), ('category_id', 1), ('name', 'x')])),
    bson.encode(SON([('_id', 7), ('imgs', IMGS)])),
    bson.encode(SON([('_id', 7), ('imgs', IMGS * 6), ('category_id', 1)])),
    bson.encode(SON([('_id', 7), ('imgs', []), ('category_id', 1)])),
]


def one_by_one(data: bytes, start: int, end: int) -> list[product_document.Product]:
    """Parses the documents in [start, end) of the data."""
    products = []
    while start < end:
        products.append(product_document.parse(data, start))
        start += bson_document.framed_length(data, start)
    return products


def as_products(found: bson_batch.Documents) -> list[product_document.Product]:
    places = iter(map(tuple, found.places.tolist()))
    columns = (found.product_ids.tolist(), found.category_ids.tolist(), found.views.tolist())
    return [
        product_document.Product(product_id, category_id, tuple(next(places) for _ in range(views)))
        for product_id, category_id, views in zip(*columns, strict=True)
    ]


def test_documents_of_the_usual_layout_are_parsed_together() -> None:
    data = b'before' + b''.join(USUAL) + b'after'
    found = bson_batch.read(data, 6, len(data))
    assert found is not None
    assert found.end == len(data) - len('after')
    assert as_products(found) == one_by_one(data, 6, found.end)
    assert found.starts.tolist()[:2] == [6, 6 + len(USUAL[0])]


def test_a_batch_ends_before_another_layout_a_truncated_document_or_the_stop() -> None:
    usual = b''.join(USUAL[:2])
    for other in OTHERS:
        found = bson_batch.read(usual + other + USUAL[2], 0, 10_000)
        assert found is not None
        assert found.end == len(usual)
        assert bson_batch.read(other + usual, 0, 10_000) is None
    for cut in range(1, len(USUAL[2])):
        found = bson_batch.read(usual + USUAL[2][:cut], 0, 10_000)
        assert found is not None
        assert found.end == len(usual)
    found = bson_batch.read(usual, 0, 1)
    assert found is not None
    assert found.end == len(USUAL[0])
    assert bson_batch.read(usual[: len(USUAL[0]) - 1], 0, 10_000) is None


@given(position=st.integers(min_value=0), value=st.binary(min_size=1, max_size=4))
def test_changed_documents_are_parsed_alike_in_batches_and_one_by_one(
    position: int, value: bytes
) -> None:
    data = bytearray(b''.join(USUAL))
    at = position % len(data)
    data[at : at + len(value)] = value
    found = bson_batch.read(bytes(data), 0, len(data))
    if found is not None:
        assert as_products(found) == one_by_one(bytes(data), 0, found.end)
