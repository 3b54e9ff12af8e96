"""Products whose ids are not integers: their keys are in the records and everywhere shown."""

import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path

import bson
import pytest
from bson import Binary, ObjectId
from pyarrow import parquet
from pymongo import MongoClient

from catalog import categories, product_key
from catalog.errors import UserError
from catalog.record import Record
from tests.beam_pipelines.running import files, read_split, run_command, run_job
from tests.shop import CATEGORY_IDS, jpeg, product, write_photo

WriteBson = Callable[..., Path]

IDS: dict[str, Callable[[int], object]] = {
    'string': lambda n: f'SKU-{n}',
    'objectid': lambda n: ObjectId(f'{n:024x}'),
    'uuid': lambda n: Binary.from_uuid(uuid.UUID(int=n)),
}


def documents(kind: str, products: int = 40) -> list[bytes]:
    return [
        bson.encode(
            {
                '_id': IDS[kind](n),
                'imgs': [{'picture': jpeg(100 * n + view)} for view in range(n % 3 + 1)],
                'category_id': CATEGORY_IDS[n % 4],
            }
        )
        for n in range(products)
    ]


def key(kind: str, number: int) -> bytes:
    value = IDS[kind](number)
    return str(value.as_uuid() if isinstance(value, Binary) else value).encode()


def records_of(folder: Path) -> list[Record]:
    splits = (read_split(folder, split) for split in ('train', 'validation'))
    return [record for shards in splits for shard in shards for record in shard]


@pytest.mark.parametrize('kind', IDS)
def test_a_record_has_the_key_and_its_number_from_bson_and_mongodb_alike(
    kind: str,
    write_bson: WriteBson,
    mongodb_server: str,
    categories_path: Path,
    tmp_path: Path,
) -> None:
    options = {'balance': 'uniform', 'shards': 2}
    dump = documents(kind)
    run_job(write_bson(dump), categories_path, tmp_path / 'bson', range_bytes=3000, **options)
    records = [
        r
        for split in ('train', 'validation')
        for s in read_split(tmp_path / 'bson', split)
        for r in s
    ]
    assert {r.key for r in records} == {key(kind, n) for n in range(40)}
    for record in records:
        assert record.product_id == product_key.product_id(kind, record.key.decode())
        number = next(n for n in range(40) if key(kind, n) == record.key)
        assert record.pictures == [jpeg(100 * number + view) for view in range(number % 3 + 1)]
    with MongoClient(mongodb_server) as client:
        client['keys'][kind].insert_many([bson.decode(document) for document in dump[::-1]])
    address = f'{mongodb_server}/keys.{kind}'
    run_job(address, categories_path, tmp_path / 'mongo', range_bytes=3000, **options)
    from_bson, from_mongo = files(tmp_path / 'bson'), files(tmp_path / 'mongo')
    assert from_mongo.pop('products.parquet') != from_bson.pop('products.parquet')  # other places
    assert from_mongo == from_bson


def test_products_are_traced_to_their_places_for_any_number_of_workers(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    path = write_bson(documents('string'))
    run_job(path, categories_path, tmp_path / 'one', range_bytes=3000)
    beam = ['--direct_num_workers=2', '--direct_running_mode=multi_processing']
    run_job(path, categories_path, tmp_path / 'two', range_bytes=20_000, beam=beam)
    assert files(tmp_path / 'one') == files(tmp_path / 'two')
    manifest = json.loads((tmp_path / 'one' / 'manifest.json').read_text())
    assert (manifest['source']['products'], manifest['schema_version']) == ('products.parquet', 2)
    rows = parquet.read_table(tmp_path / 'one' / 'products.parquet').to_pylist()
    assert [row['product_id'] for row in rows] == sorted(row['product_id'] for row in rows)
    splits = {record.key.decode(): 'train' for record in records_of(tmp_path / 'one')}
    for shard in read_split(tmp_path / 'one', 'validation'):
        splits |= {record.key.decode(): 'validation' for record in shard}
    assert {row['key']: row['split'] for row in rows} == splits
    keys = {row['product_id']: row['key'] for row in rows}
    assert product_key.load_keys(str(tmp_path / 'one')) == keys
    data = path.read_bytes()
    for row in rows:
        document = bson.decode(
            data[row['offset'] :][: int.from_bytes(data[row['offset'] :][:4], 'little')]
        )
        assert (document['_id'], document['category_id']) == (row['key'], row['category_id'])
        assert row['file'] == str(path)
        assert row['place'] == f'{path} at byte {row["offset"]}'


def test_photos_in_folders_are_traced_to_their_paths(categories_path: Path, tmp_path: Path) -> None:
    photos = tmp_path / 'photos'
    names = [
        write_photo(photos, f'{category_id}/front {n}.jpg', jpeg(n + k))
        for k, category_id in enumerate(CATEGORY_IDS)
        for n in range(0, 40, 4)
    ]
    run_job(photos, categories_path, tmp_path / 'out')
    rows = parquet.read_table(tmp_path / 'out' / 'products.parquet').to_pylist()
    assert {row['key'] for row in rows} == set(names)
    assert {row['place'] for row in rows} == {str(photos / name) for name in names}
    assert {record.key.decode() for record in records_of(tmp_path / 'out')} == set(names)


def test_a_data_set_of_integer_ids_replaces_the_products_of_another(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    arguments = [f'--categories={categories_path}', f'--output={tmp_path / "out"}']
    path = write_bson(documents('string'), 'keys.bson')
    done = run_command(f'--input={path}', *arguments)
    assert (tmp_path / 'out' / 'products.parquet').exists(), done.stderr
    numbers = [product(n, CATEGORY_IDS[n % 4], [jpeg(n)]) for n in range(20)]
    done = run_command(f'--input={write_bson(numbers)}', *arguments, '--overwrite')
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / 'out' / 'products.parquet').exists()
    assert 'products' not in json.loads((tmp_path / 'out' / 'manifest.json').read_text())['source']


def test_integral_doubles_give_the_bytes_of_integers(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    def dump(number: type) -> list[bytes]:
        return [
            bson.encode(
                {
                    '_id': number(n),
                    'imgs': [{'picture': jpeg(n)}],
                    'category_id': number(CATEGORY_IDS[n % 4]),
                }
            )
            for n in range(20)
        ]

    for number in (int, float):
        path = write_bson(dump(number), f'{number.__name__}.bson')
        run_job(path, categories_path, tmp_path / number.__name__, range_bytes=3000)
    assert files(tmp_path / 'float') == files(tmp_path / 'int')


def test_rejected_pieces_and_repeated_ids_are_shown_with_their_keys(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    good = documents('string', 30)
    repeated = bson.encode({'_id': 'SKU-1', 'imgs': [jpeg(1)], 'category_id': CATEGORY_IDS[0]})
    null = bson.encode(
        {'_id': 'NULL', 'imgs': [{'picture': jpeg(7)}, None], 'category_id': CATEGORY_IDS[0]}
    )
    empty = bson.encode({'_id': 'EMPTY', 'imgs': [], 'category_id': CATEGORY_IDS[0]})
    other = bson.encode({'_id': 'OTHER', 'imgs': [jpeg(8)], 'category_id': 'shoes'})
    path = write_bson([*good, repeated, null, empty, other])
    run_job(path, categories_path, tmp_path / 'out', max_rejected_fraction=0.5)
    lines = (tmp_path / 'out' / 'rejected' / 'rejected.jsonl').read_text().splitlines()
    found = {(line['product_id'], line['reason']) for line in map(json.loads, lines)}
    assert found == {
        ('SKU-1', 'duplicate_id'),
        ('NULL', 'missing'),
        ('EMPTY', 'no_pictures'),
        ('OTHER', 'unknown_category'),
    }
    records = [
        r
        for split in ('train', 'validation')
        for s in read_split(tmp_path / 'out', split)
        for r in s
    ]
    assert b'NULL' in {record.key for record in records}


def test_a_decomposed_accent_is_the_same_id(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    twins = [
        bson.encode({'_id': name, 'imgs': [jpeg(n)], 'category_id': CATEGORY_IDS[0]})
        for n, name in enumerate(['caf\u00e9', 'cafe\u0301'])
    ]
    path = write_bson([*documents('string'), *twins])
    run_job(path, categories_path, tmp_path / 'out', max_rejected_fraction=0.5)
    assert 'duplicate_id' in (tmp_path / 'out' / 'rejected' / 'rejected.jsonl').read_text()


def test_two_keys_with_one_number_end_the_job(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product_key, 'product_id', lambda kind, text: 7)
    path = write_bson(documents('string', 2))
    with pytest.raises(UserError, match=r"'SKU-0' and 'SKU-1' have the same, 7"):
        run_job(path, categories_path, tmp_path / 'out')


def test_a_text_id_among_integers_is_rejected(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    numbers = [
        bson.encode({'_id': n, 'imgs': [jpeg(n)], 'category_id': CATEGORY_IDS[0]})
        for n in range(30)
    ]
    path = write_bson([*numbers, *documents('string', 1)])
    run_job(path, categories_path, tmp_path / 'out', max_rejected_fraction=0.5)
    text = (tmp_path / 'out' / 'rejected' / 'rejected.jsonl').read_text()
    assert "must be an integer as in the first documents, got 'SKU-0'" in text


def test_the_command_renames_fields(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    dump = [
        bson.encode(
            {
                'title': 'x',
                'sku': f'SKU-{n}',
                'media': {'images': [{'data': jpeg(n), 'mime': 'image/jpeg'}]},
                'cat': {'leaf': str(CATEGORY_IDS[n % 4])},
            }
        )
        for n in range(30)
    ]
    arguments = [
        f'--input={write_bson(dump)}',
        f'--categories={categories_path}',
        f'--output={tmp_path / "out"}',
        '--range_mb=0.003',
    ]
    refused = run_command(*arguments)
    assert refused.returncode
    proposed = re.search(r'try (--fields=\S+)', refused.stderr)
    assert proposed, refused.stderr
    assert proposed[1] == '--fields=_id=sku,imgs=media.images,picture=data,category_id=cat.leaf'
    done = run_command(*arguments, proposed[1])
    assert done.returncode == 0, done.stderr
    records = [
        r
        for split in ('train', 'validation')
        for s in read_split(tmp_path / 'out', split)
        for r in s
    ]
    assert {record.key for record in records} == {b'SKU-%d' % n for n in range(30)}


@pytest.mark.parametrize(
    'options',
    [
        {'near_duplicates': 'group', 'duplicates': 'drop', 'record': 'image'},
        {'near_duplicates': 'mark', 'drop_blank': True, 'test_fraction': 0.2},
    ],
)
def test_products_have_keys_with_every_option(
    options: dict[str, object], write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    run_job(write_bson(documents('string')), categories_path, tmp_path / 'out', **options)
    keys = {key('string', n).decode() for n in range(40)}
    assert set(product_key.load_keys(str(tmp_path / 'out')).values()) == keys


def test_unlabelled_products_have_keys(write_bson: WriteBson, tmp_path: Path) -> None:
    run_job(write_bson(documents('uuid')), None, tmp_path / 'out', unlabelled=True)
    rows = parquet.read_table(tmp_path / 'out' / 'products.parquet').to_pylist()
    assert {(row['category_id'], row['split']) for row in rows} == {(None, 'predict')}
    records = [record for shard in read_split(tmp_path / 'out', 'predict') for record in shard]
    assert {record.key.decode() for record in records} == {row['key'] for row in rows}


def test_a_category_may_be_a_path_of_names_or_an_id_as_text(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    tree = categories.load(str(categories_path))
    texts = [tree.path_text(0), str(tree.ids[1]), '/'.join(tree.names[2])]
    dump = [
        bson.encode({'_id': n, 'imgs': [jpeg(n)], 'category_id': texts[n % 3]}) for n in range(30)
    ]
    run_job(write_bson(dump), categories_path, tmp_path / 'out')
    for record in records_of(tmp_path / 'out'):
        assert record.category is not None
        assert record.category.label == record.product_id % 3
