"""Which split a product is in: stable as the catalogue grows."""

import json
from collections.abc import Callable
from pathlib import Path

import bson
import pytest

from catalog.errors import UserError
from tests.beam_pipelines.running import read_split, run_command, run_job
from tests.shop import CATEGORY_IDS, jpeg, product, write_photo

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


def with_field(document: bytes, **fields: object) -> bytes:
    return bson.encode({**bson.decode(document), **fields})


def test_a_shops_own_split_is_kept_and_other_values_are_rejected(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    names = ['train', 'validation', 'test', 'train']
    documents_ = [
        with_field(document, meta={'part': names[number % 4]})
        for number, document in enumerate(documents(range(40)))
    ]
    documents_[3] = with_field(documents_[3], meta={'part': 'dev'})
    documents_[4] = with_field(documents_[4], meta=None)
    documents_[5] = with_field(documents_[5], meta={'part': 1})
    output = tmp_path / 'out'
    done = run_command(
        f'--input={write_bson(documents_)}',
        f'--categories={categories_path}',
        f'--output={output}',
        '--fields=split=meta.part',
        '--validation_fraction=0.5',
        '--max_rejected_fraction=0.1',
    )
    assert done.returncode == 0, done.stderr
    assert split_of_each(output) == {
        bson.decode(document)['_id']: names[number % 4]
        for number, document in enumerate(documents_)
        if number not in (3, 4, 5)
    }
    manifest = json.loads((output / 'manifest.json').read_text())
    assert manifest['ledger']['documents']['rejected_unknown_split'] == 3
    lines = (output / 'rejected' / 'rejected.jsonl').read_text().splitlines()
    messages = [json.loads(line)['message'] for line in lines]
    rule = 'meta.part must be one of train, validation, test, got'
    assert messages == [f"{rule} 'dev'", f'{rule} none', f'{rule} int32']


def test_products_of_a_group_are_in_one_split_and_stay_there(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    def seller(number: int) -> object:
        return {'seller': f'seller {number % 40}'} if number % 40 % 8 else {}

    splits = []
    for size in (600, 720):
        output = tmp_path / str(size)
        source = write_bson(
            [
                with_field(document, **seller(number))
                for number, document in enumerate(documents(range(size)))
            ]
        )
        done = run_command(
            f'--input={source}',
            f'--categories={categories_path}',
            f'--output={output}',
            '--group_field=seller',
            '--split_by=hash',
            '--validation_fraction=0.3',
            '--test_fraction=0.2',
        )
        assert done.returncode == 0, done.stderr
        splits.append(split_of_each(output))
    ids = [bson.decode(document)['_id'] for document in documents(range(720))]
    by_seller = [{splits[1][ids[n]] for n in range(s, 720, 40)} for s in range(40) if s % 8]
    assert all(len(found) == 1 for found in by_seller)
    assert set.union(*by_seller) == {'train', 'validation', 'test'}
    assert len({splits[1][ids[n]] for n in range(0, 720, 8)}) == 3  # those without a seller
    assert moved(*splits) == 0


def test_a_list_names_splits_or_groups_too(categories_path: Path, tmp_path: Path) -> None:
    names = ['train', 'validation', 'test', 'train', 'dev', '']
    rows = []
    for number in range(18):
        write_photo(tmp_path, f'{number}.jpg', jpeg(number))
        rows.append(f'{number}.jpg,{CATEGORY_IDS[0]},{number},{names[number % 6]},s{number % 3}')
    write_photo(tmp_path, 'other.jpg', jpeg(99))
    rows.append(f'other.jpg,{CATEGORY_IDS[0]},0,test,s0')  # product 0 in two splits
    listed = tmp_path / 'list.csv'
    listed.write_text('\n'.join(['path,category,product,part,shoot', *rows]))
    for output, flags in (
        ('splits', ['--fields=split=part', '--max_rejected_fraction=0.5']),
        ('groups', ['--group_field=shoot', '--validation_fraction=0.5', '--seed=1']),
    ):
        done = run_command(
            f'--input={listed}',
            f'--categories={categories_path}',
            f'--output={tmp_path / output}',
            *flags,
        )
        assert done.returncode == 0, done.stderr
    for output, text in (('splits', 'split=part'), ('groups', 'group=shoot')):
        manifest = json.loads((tmp_path / output / 'manifest.json').read_text())
        assert manifest['options']['fields'] == text
    found = split_of_each(tmp_path / 'splits')
    assert found == {n: names[n % 6] for n in range(1, 18) if n % 6 < 4}
    lines = (tmp_path / 'splits' / 'rejected' / 'rejected.jsonl').read_text().splitlines()
    messages = {json.loads(line)['product_id']: json.loads(line)['message'] for line in lines}
    assert len(messages) == 7
    rule = 'part must be one of train, validation, test, got'
    assert messages[4] == f"{rule} 'dev'"
    assert messages[5] == f'{rule} none'
    assert messages[0] == f"{rule} 'train and test'"
    by_shoot = [{split_of_each(tmp_path / 'groups')[n] for n in range(s, 18, 3)} for s in range(3)]
    assert all(len(splits) == 1 for splits in by_shoot)
    assert len(set.union(*by_shoot)) == 2


def test_folders_of_photos_have_no_fields_and_contain_no_data_set(
    categories_path: Path, tmp_path: Path
) -> None:
    photos = tmp_path / 'photos'
    write_photo(photos, f'{CATEGORY_IDS[0]}/1.jpg', jpeg(1))
    flags = (f'--input={photos}', f'--categories={categories_path}')
    done = run_command(*flags, f'--output={tmp_path / "out"}', '--group_field=seller')
    assert (done.returncode, done.stderr) == (
        2,
        'error: --fields: folders of photos have no fields, got group=seller; name them in a list '
        'of the photos\n',
    )
    done = run_command(*flags, f'--output={photos}/')
    assert (done.returncode, done.stderr) == (
        2, f'error: --output: must be another folder than --input, got {photos}/\n'
    )  # fmt: skip


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--fields=split=a,group=b'], '--fields: must name a split or a group, got both'),
        (
            ['--group_field=a', '--near_duplicates=group'],
            '--near_duplicates: must be off or mark with a field group',
        ),
        (
            ['--group_field=catgory_id'],
            'a group must be a field of some product, got catgory_id, which none of the first 4 '
            'has; did you mean group=category_id?',
        ),
    ],
)
def test_rules_for_splits_that_cannot_hold_are_refused(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path, flags: list[str], message: str
) -> None:
    done = run_command(
        f'--input={write_bson(documents(range(4)))}',
        f'--categories={categories_path}',
        f'--output={tmp_path / "out"}',
        *flags,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
