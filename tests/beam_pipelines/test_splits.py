"""Which split a product is in: stable as the catalogue grows."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.errors import UserError
from tests.beam_pipelines.running import read_split, run_job
from tests.shop import CATEGORY_IDS, jpeg, product

WriteBson = Callable[..., Path]


def documents(numbers: range) -> list[bytes]:
    """Products of four classes; new ones have ids between those of old ones."""
    return [
        product(number * 7919 % 100_000, CATEGORY_IDS[number % 4], [jpeg(number % 50)])
        for number in numbers
    ]


def split_of_each(output: Path) -> dict[int, str]:
    return {
        record.product_id: split
        for split in ('train', 'validation', 'test')
        if split in json.loads((output / 'manifest.json').read_text())['splits']
        for shard in read_split(output, split)
        for record in shard
    }


def moved(before: dict[int, str], after: dict[int, str]) -> int:
    return sum(before[product_id] != after[product_id] for product_id in before)


@pytest.mark.parametrize(('split_by', 'stable'), [('hash', True), ('rank', False)])
def test_no_product_moves_when_a_catalogue_split_by_hash_grows_by_a_fifth(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path, split_by: str, stable: bool
) -> None:
    splits = []
    for size in (1000, 1200):
        output = tmp_path / str(size)
        run_job(
            write_bson(documents(range(size))),
            categories_path,
            output,
            split_by=split_by,
            validation_fraction=0.2,
            test_fraction=0.1,
        )
        splits.append(split_of_each(output))
        assert len(splits[-1]) == size
    assert (moved(*splits) == 0) == stable


def test_categories_without_a_train_product_are_counted(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    source = write_bson(
        [product(number, CATEGORY_IDS[number % 4], [jpeg(number)]) for number in range(8)]
    )
    run_job(
        source, categories_path, tmp_path / 'out', split_by='hash', validation_fraction=0.6, seed=1
    )
    splits = split_of_each(tmp_path / 'out')
    classes = {number % 4 for number in splits if splits[number] == 'train'}
    manifest = json.loads((tmp_path / 'out' / 'manifest.json').read_text())
    assert manifest['ledger']['notes']['classes_without_train'] == 4 - len(classes) > 0
    assert manifest['options']['split_by'] == 'hash'


def test_a_data_set_without_train_is_an_error(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    source = write_bson([product(1, CATEGORY_IDS[0], [jpeg(1)])])
    with pytest.raises(UserError, match='must have a product in train, but all are in validation'):
        run_job(
            source, categories_path, tmp_path / 'out', split_by='hash', validation_fraction=0.999
        )
