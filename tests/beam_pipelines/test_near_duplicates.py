"""Copies of train pictures in validation and test are marked, or kept in one split."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from beam_pipelines.options import ShardOptions
from catalog.errors import UserError
from tests.beam_pipelines.near_duplicates import copies
from tests.beam_pipelines.running import files, read_split, run_command, run_job
from tests.shop import CATEGORY_IDS, product

WriteBson = Callable[..., Path]

PAIRS, OTHERS = 30, 60
SPLITS = {'validation_fraction': 0.25, 'test_fraction': 0.25}


def shop_with_copies() -> list[bytes]:
    """Products 2n and 2n + 1 show the same picture, the second at another size and quality."""
    documents = []
    for number in range(PAIRS + OTHERS):
        picture = copies.draw(number)
        category_id = CATEGORY_IDS[number % 4]
        documents.append(product(2 * number, category_id, [picture]))
        if number < PAIRS:
            copy = copies.resize(copies.encode_again(picture, 60), 0.9)
            other_view = copies.draw(1000 + number)
            documents.append(product(2 * number + 1, category_id, [other_view, copy]))
    return documents


def split_of_each(output: Path) -> dict[int, str]:
    return {
        record.product_id: split
        for split in ('train', 'validation', 'test')
        for shard in read_split(output, split)
        for record in shard
    }


def leaked_of_each(output: Path) -> dict[int, list[int]]:
    return {
        record.product_id: list(record.leaked)
        for split in ('validation', 'test')
        for shard in read_split(output, split)
        for record in shard
    }


def notes(output: Path) -> dict[str, int]:
    return json.loads((output / 'manifest.json').read_text())['ledger']['notes']


def test_mark_marks_held_out_copies_of_train_pictures(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    source = write_bson(shop_with_copies())
    run_job(source, categories_path, tmp_path / 'off', **SPLITS)
    run_job(source, categories_path, tmp_path / 'out', near_duplicates='mark', **SPLITS)
    splits = split_of_each(tmp_path / 'out')
    assert splits == split_of_each(tmp_path / 'off')
    wanted = {}
    for product_id in splits:
        if splits[product_id] != 'train':
            partner = product_id ^ 1
            leaked = splits.get(partner) == 'train'
            wanted[product_id] = [0, int(leaked)] if product_id % 2 else [int(leaked)]
    assert leaked_of_each(tmp_path / 'out') == wanted
    marked = sum(sum(leaked) for leaked in wanted.values())
    assert marked > 5
    assert notes(tmp_path / 'out')['leaked_pictures'] == marked
    assert notes(tmp_path / 'out')['near_duplicate_leaked_pictures'] == marked
    assert notes(tmp_path / 'off')['leaked_pictures'] == 0
    # Train does not have the feature.
    assert (
        files(tmp_path / 'off')['train-00000-of-00001.tfrecord']
        == (files(tmp_path / 'out')['train-00000-of-00001.tfrecord'])
    )


def test_group_keeps_copies_in_one_split(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    run_job(
        write_bson(shop_with_copies()),
        categories_path,
        tmp_path / 'out',
        near_duplicates='group',
        **SPLITS,
    )
    splits = split_of_each(tmp_path / 'out')
    assert len(splits) == 2 * PAIRS + OTHERS
    assert [n for n in range(PAIRS) if splits[2 * n] != splits[2 * n + 1]] == []
    assert {splits[2 * n] for n in range(PAIRS)} == {'train', 'validation', 'test'}
    assert not any(any(leaked) for leaked in leaked_of_each(tmp_path / 'out').values())


@pytest.mark.parametrize('mode', ['mark', 'group'])
def test_the_bytes_are_the_same_for_any_ranges_and_workers(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path, mode: str
) -> None:
    source = write_bson(shop_with_copies())
    options = {'near_duplicates': mode, 'shards': 3, 'record': 'image', **SPLITS}
    run_job(source, categories_path, tmp_path / 'one', **options)
    run_job(
        source,
        categories_path,
        tmp_path / 'other',
        range_bytes=50_000,
        beam=['--direct_num_workers=2', '--direct_running_mode=multi_threading'],
        **options,
    )
    assert files(tmp_path / 'one') == files(tmp_path / 'other')


def test_the_summary_counts_near_duplicates(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    done = run_command(
        f'--input={write_bson(shop_with_copies())}',
        f'--categories={categories_path}',
        f'--output={tmp_path / "out"}',
        '--near_duplicates=mark',
        '--validation_fraction=0.5',
    )
    assert done.returncode == 0, done.stderr
    marked = notes(tmp_path / 'out')['near_duplicate_leaked_pictures']
    assert f'validation images that look like train images: {marked}' in done.stdout
    same_bytes = notes(tmp_path / 'out')['leaked_pictures'] - marked
    assert ('also in train (leakage)' in done.stdout) == (same_bytes > 0)
    assert same_bytes == 0 or f'also in train (leakage): {same_bytes}\n' in done.stdout


def test_a_manifest_does_not_mention_near_duplicates_that_are_off() -> None:
    assert 'near_duplicates' not in ShardOptions().as_mapping()
    assert ShardOptions(near_duplicates='mark').as_mapping()['near_duplicates'] == 'mark'


def test_unlabelled_data_has_no_splits_to_compare() -> None:
    with pytest.raises(UserError, match='near_duplicates must be off with unlabelled'):
        ShardOptions(near_duplicates='mark', unlabelled=True)
