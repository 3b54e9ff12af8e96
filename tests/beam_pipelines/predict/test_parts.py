"""Each product is in exactly one part, wherever the source is cut."""

from collections.abc import Callable
from pathlib import Path

import pytest

from beam_pipelines.predict import parts
from catalog import inputs
from catalog.errors import UserError
from catalog.inputs.products import products_in
from catalog.sources import bson_files
from catalog.sources.source import Products, Source
from tests.shop import product, shop

WriteBson = Callable[..., Path]


def product_ids(source: Source, *, max_rejected_fraction: float = 0) -> list[int]:
    """The ids of the products of all proven parts, in order."""
    walks = [parts.walk(part, source) for part in parts.split(source)]
    proven = parts.prove(walks, source, max_rejected_fraction=max_rejected_fraction)
    return [
        found.product_id
        for each in walks
        for part in parts.proven_part(each, proven)
        for piece in source.read(part.range)
        if isinstance(piece, Products)
        for found in products_in(piece)
    ]


@pytest.mark.parametrize('part_bytes', [64, 500, 5000, 1 << 20])
def test_no_product_is_lost_or_read_twice(
    part_bytes: int, write_bson: WriteBson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs.parts, 'PART_BYTES', part_bytes)
    inner = b''.join(product(77, 1, [b'x' * 300]) for _ in range(20))  # documents in a picture
    documents = shop(30)
    documents[11] = product(110, 1, [inner])
    source = bson_files.open_files([str(write_bson(documents))])
    assert product_ids(source) == [10 * number for number in range(30)]


def test_damage_above_the_limit_ends_the_job_before_anything_is_predicted(
    write_bson: WriteBson,
) -> None:
    documents = shop(30)
    documents[3] = documents[3][:-1] + b'\x01'
    source = bson_files.open_files([str(write_bson(documents))])
    with pytest.raises(UserError, match='at most 0 of the documents may be rejected, got 1 of 30'):
        product_ids(source)
    assert len(product_ids(source, max_rejected_fraction=0.2)) == 29
