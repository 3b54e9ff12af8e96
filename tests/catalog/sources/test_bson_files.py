"""BSON files as a source: products, damage, the guessed start of a range, single pictures."""

from pathlib import Path

import numpy as np
import pytest

from catalog.errors import UserError
from catalog.sources import bson_files
from catalog.sources.source import NO_CATEGORY, Products, Range, Rejected
from tests.catalog.sources import reading
from tests.shop import CATEGORY_IDS, jpeg, product

DOCUMENTS = [product(number, CATEGORY_IDS[0], [jpeg(number)]) for number in range(50)]


def open_one(path: Path, data: bytes) -> bson_files.BsonFiles:
    path.write_bytes(data)
    return bson_files.open_files([str(path)])


def test_pictures_are_fetched_in_the_order_of_the_rows(tmp_path: Path) -> None:
    source = open_one(tmp_path / 'train.bson', b''.join(DOCUMENTS))
    rows, rejected = reading.read_all(source, range_bytes=1 << 20)
    assert not rejected
    order = np.random.default_rng(0).permutation(50)
    rows = np.sort(rows, order=['product_id'])[order]
    assert list(source.fetch(rows)) == [jpeg(n) for n in order.tolist()]


def test_a_given_start_replaces_the_guess(tmp_path: Path) -> None:
    # The picture of the first product contains a product.
    inner = product(7, CATEGORY_IDS[1], [jpeg(7)])
    outer = product(1, CATEGORY_IDS[0], [jpeg(1)[:-2] + inner + b'\xff\xd9'])
    last = product(2, CATEGORY_IDS[0], [jpeg(2)])
    source = open_one(tmp_path / 'train.bson', outer + last)
    assert source.guesses_starts()
    cut, end = outer.index(inner), len(outer + last)
    (guessed, *_) = source.read(Range(0, cut, end))
    assert isinstance(guessed, Products)
    assert (guessed.product_ids[0], guessed.positions[0]) == (7, cut)
    (given,) = source.read(Range(0, cut, end, first=len(outer)))
    assert isinstance(given, Products)
    assert given.product_ids.tolist() == [2]
    assert given.positions[0] + given.lengths[0] == end


def test_products_and_damage_come_in_order(tmp_path: Path) -> None:
    other = product(3, None, [jpeg(3), jpeg(4)])  # without a category
    data = b''.join([*DOCUMENTS[:2], b'garbage', DOCUMENTS[2], other])
    source = open_one(tmp_path / 'train.bson', data)
    pieces = list(source.read(Range(0, 0, len(data))))
    kinds = [p.reason if isinstance(p, Rejected) else p.product_ids.tolist() for p in pieces]
    assert kinds == [[0, 1], 'garbage', [2, 3]]
    found = pieces[-1]
    assert isinstance(found, Products)
    assert found.category_ids.tolist() == [CATEGORY_IDS[0], NO_CATEGORY]
    views = [found.data[at : at + size] for at, size in found.places.tolist()]
    assert views == [jpeg(2), jpeg(3), jpeg(4)]
    assert found.views.tolist() == [1, 2]
    assert [data.index(view) for view in views] == found.offsets.tolist()


def test_empty_files_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='must contain BSON documents, got an empty file'):
        open_one(tmp_path / 'empty.bson', b'')


def test_selected_products_keep_their_pictures_and_errors(tmp_path: Path) -> None:
    data = b''.join(product(n, None, [jpeg(n), jpeg(n + 9)][: n + 1]) for n in range(2))
    source = open_one(tmp_path / 'train.bson', data)
    (found,) = source.read(Range(0, 0, len(data)))
    assert isinstance(found, Products)
    chosen = found.select(np.array([False, True]))
    assert chosen.product_ids.tolist() == [1]
    assert [data[at : at + size] for at, size in chosen.places.tolist()] == [jpeg(1), jpeg(10)]


def test_only_files_read_from_an_object_store_have_joint_reads() -> None:
    def joint_read_bytes(*paths: str) -> int:
        return bson_files.BsonFiles(paths, (1,) * len(paths)).joint_read_bytes()

    assert joint_read_bytes('a.bson', 'b.bson.gz') == 0
    assert joint_read_bytes('gs://shop/a.bson.gz') == 0  # unpacked to a local copy
    assert joint_read_bytes('gs://shop/a.bson.gz', 'gs://shop/b.bson') == 256 << 10
