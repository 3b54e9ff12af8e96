"""A MongoDB collection as a source, with a real wire server on this machine."""

import dataclasses
import pickle
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import bson
import numpy as np
import pytest
from bson import Binary, Decimal128, ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection

from catalog.errors import UserError
from catalog.schema import fields
from catalog.sources import mongo, mongo_read, opening
from catalog.sources.mongo import MongoCollection
from catalog.sources.source import Rejected
from tests import mongodb
from tests.catalog.sources import reading
from tests.mongodb import fill
from tests.shop import CATEGORY_IDS, jpeg, product


@pytest.fixture
def client(mongodb_server: str) -> Iterator[MongoClient]:
    with MongoClient(mongodb_server) as client:
        yield client


@pytest.fixture
def collection(client: MongoClient, request: pytest.FixtureRequest) -> Collection:
    name = ''.join(c if c.isalnum() else '_' for c in request.node.name)
    return client['shop'][name]


def open_(server: str, collection: Collection) -> MongoCollection:
    return mongo.open_collection(f'{server}/{collection.full_name}')


@pytest.mark.parametrize('range_bytes', [1, 3000, 20_000, 1 << 30])
def test_every_document_is_in_one_range_whatever_its_id(
    range_bytes: int, mongodb_server: str, collection: Collection
) -> None:
    ids = [*range(-5, 40), 100, 10**6, 2**31, 2**62, 2**63 - 1, -(2**63)]
    fill(collection, [product(n, CATEGORY_IDS[0], [jpeg(n % 97)]) for n in ids])
    others = [
        7.5, 7.25, -0.5, float('inf'), float('nan'), 1e300, Decimal128('8.1'),
        Decimal128('-1E+6000'), None, 'a', 'b', ObjectId(), True, b'x', {'a': 1},
    ]  # fmt: skip
    collection.insert_many([{'_id': n, 'category_id': k} for k, n in enumerate(others)])
    source = open_(mongodb_server, collection)
    assert not source.guesses_starts()
    assert source.total_bytes() == sum(len(d) for d in collection.find_raw_batches())
    rows, rejected = reading.read_all(source, range_bytes=range_bytes)
    assert sorted(rows['product_id'].tolist()) == sorted(ids)
    assert Counter(piece.reason for piece in rejected) == Counter(wrong_type=len(others))
    kept = Counter(source.fetch_rejected(piece) for piece in rejected)
    wanted = {'_id': {'$not': {'$type': ['int', 'long']}}}
    assert kept == Counter(bson.encode(d) for d in collection.find(wanted))
    places = [(piece.file, piece.offset, piece.product_id) for piece in rejected]
    assert len(set(places)) == len(others)


def test_pictures_are_fetched_in_the_order_of_the_rows(
    mongodb_server: str, collection: Collection
) -> None:
    fill(
        collection,
        [product(3 * n, CATEGORY_IDS[0], [jpeg(n), jpeg(n + 5000)]) for n in range(1200)],
    )
    source = open_(mongodb_server, collection)
    rows, _ = reading.read_all(source, range_bytes=100_000)
    rows = np.concatenate([rows, rows[:50]])[np.random.default_rng(0).permutation(2450)]
    wanted = [jpeg(r['product_id'] // 3 + 5000 * r['index']) for r in rows]
    assert source.fetch(rows) == wanted


def test_a_deleted_product_is_an_error_with_its_id(
    mongodb_server: str, collection: Collection
) -> None:
    fill(collection, [product(n, CATEGORY_IDS[0], [jpeg(n)]) for n in range(5)])
    source = open_(mongodb_server, collection)
    rows, _ = reading.read_all(source, range_bytes=1 << 20)
    collection.delete_one({'_id': 3})
    with pytest.raises(UserError, match='must not change while it is read, but product 3 was'):
        source.fetch(rows)


@pytest.mark.parametrize('fault', [{'closeConnection': True}, {'errorCode': 43}])
def test_reading_resumes_after_a_lost_cursor_or_connection(
    fault: dict, mongodb_server: str, client: MongoClient, collection: Collection
) -> None:
    documents = [product(n, CATEGORY_IDS[0], [jpeg(n % 50)]) for n in range(500)]
    documents += [bson.encode({'_id': f'{n:03}', 'imgs': []}) for n in range(250)]
    fill(collection, documents)
    source = open_(mongodb_server, collection)
    undisturbed = reading.read_all(source, range_bytes=1 << 30)

    def disturb(times: int) -> None:
        client.admin.command(
            'configureFailPoint',
            'failCommand',
            mode={'times': times},
            data={'failCommands': ['getMore'], **fault},
        )

    disturb(3)
    rows, rejected = reading.read_all(source, range_bytes=1 << 30)
    assert (rows.tolist(), rejected) == (undisturbed[0].tolist(), undisturbed[1])
    assert list(collection.find(batch_size=100))  # the three faults are used up
    disturb(1)
    assert source.fetch(rows) == [jpeg(n % 50) for n in range(500)]


def test_an_unreachable_server_is_an_error_of_one_line() -> None:
    with mongodb.running_server() as (uri, process):
        with MongoClient(uri) as client:
            fill(client['shop']['dying'], [product(n, 1, [jpeg(n)]) for n in range(3)])
        source = mongo.open_collection(f'{uri}/shop.dying')
        (part,) = source.split(range_bytes=1 << 30)
        process.kill()
        process.wait()
    # Only now with a short timeout: a busy machine needs time to find the server before.
    impatient = mongo_read.parse_address(f'{uri}/shop.dying?serverSelectionTimeoutMS=200')
    source = dataclasses.replace(source, address=impatient)
    with pytest.raises(UserError) as error:
        list(source.read(part))
    assert str(error.value).startswith(f'{uri}/shop.dying: must respond, got: ')
    assert '\n' not in str(error.value)


def test_a_collection_without_products_is_rejected_when_opened(
    mongodb_server: str, collection: Collection
) -> None:
    with pytest.raises(UserError, match='must contain products, got none'):
        open_(mongodb_server, collection)
    collection.insert_one({'_id': 'sku-1', 'imgs': []})
    (rejected,) = reading.read_all(open_(mongodb_server, collection), range_bytes=1)[1]
    assert (rejected.reason, rejected.product_id) == ('wrong_type', None)


@pytest.mark.parametrize('range_bytes', [1, 3000, 1 << 30])
def test_products_with_ids_of_any_type_are_read_and_fetched(
    range_bytes: int, mongodb_server: str, collection: Collection
) -> None:
    texts = [ObjectId(), 'SKU-1', 'cafe\u0301', '0123456789abcdef01234567']
    uuids = [Binary.from_uuid(uuid.uuid4()), Binary(bytes(range(16)), 3)]
    numbers = [5, 6.0, Decimal128('7'), 2**62]
    documents = [
        bson.encode({'_id': value, 'imgs': [{'picture': jpeg(n)}, {'picture': jpeg(n + 500)}]})
        for n, value in enumerate([*numbers, *texts, *uuids, 'no pictures'])
    ]
    documents[-1] = bson.encode({'_id': 'no pictures', 'imgs': []})
    fill(collection, documents)
    source = open_(mongodb_server, collection)
    assert source.key_bytes()
    rows, (rejected,) = reading.read_all(source, range_bytes=range_bytes)
    assert (rejected.reason, rejected.key) == ('no_pictures', 'no pictures')
    assert source.fetch_rejected(rejected) == documents[-1]
    keys = {row['key'].decode() for row in rows}
    assert keys >= {'', 'SKU-1', 'cafe\u0301', str(texts[0])}
    assert {5, 6, 7, 2**62} <= set(rows['product_id'].tolist())
    assert len(rows) == 2 * (len(documents) - 1)
    pictures = [jpeg(n) for n in range(10)] + [jpeg(n + 500) for n in range(10)]
    assert sorted(source.fetch(rows)) == sorted(pictures)


def test_pictures_are_fetched_by_an_indexed_field_that_has_the_product_id(
    mongodb_server: str, collection: Collection
) -> None:
    collection.insert_many(
        {'_id': ObjectId(), 'sku': f'SKU-{n}', 'imgs': [{'picture': jpeg(n)}], 'note': 'x' * n}
        for n in range(20)
    )
    # Two documents of one product: the first in order of `_id` counts.
    collection.insert_one({'_id': 'last', 'sku': 'SKU-3', 'imgs': [{'picture': jpeg(99)}]})
    address = f'{mongodb_server}/{collection.full_name}'
    names = fields.parse(['_id=sku'])
    with pytest.raises(UserError, match=r'_id=sku must name an indexed field.*"sku": 1'):
        mongo.open_collection(address, names)
    collection.create_index('sku')
    source = mongo.open_collection(address, names)
    rows, _ = reading.read_all(source, range_bytes=1000)
    rows = rows[rows['key'] != b'SKU-3']
    assert source.fetch(rows) == [jpeg(int(row['key'][4:])) for row in rows]


def test_a_deleted_product_is_an_error_with_its_key(
    mongodb_server: str, collection: Collection
) -> None:
    fill(collection, [bson.encode({'_id': f'SKU-{n}', 'imgs': [jpeg(n)]}) for n in range(5)])
    source = open_(mongodb_server, collection)
    rows, _ = reading.read_all(source, range_bytes=1 << 20)
    collection.delete_one({'_id': 'SKU-3'})
    with pytest.raises(UserError, match='but product SKU-3 was changed or deleted'):
        source.fetch(rows)


def test_a_document_that_is_no_product_keeps_its_id_and_its_reason(
    mongodb_server: str, collection: Collection
) -> None:
    collection.insert_many([{'_id': 5, 'imgs': []}, {'_id': 7.5}])
    source = open_(mongodb_server, collection)
    (part,) = source.split(range_bytes=1 << 30)
    found = [(p.reason, p.product_id) for p in source.read(part) if isinstance(p, Rejected)]
    assert found == [('no_pictures', 5), ('wrong_type', None)]


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        (
            ['mongodb://me:secret@127.0.0.1:1', '127.0.0.1:2/shop.a?serverSelectionTimeoutMS=200'],
            'mongodb://127.0.0.1:1,127.0.0.1:2/shop.a: must respond, got: ',
        ),
        (['mongodb://me:secret@127.0.0.1:1/shop'], 'got mongodb://127.0.0.1:1/shop without a coll'),
        (['mongodb://me:secret@127.0.0.1:1'], 'got mongodb://127.0.0.1:1/ without a collection'),
        (['mongodb://me:secret/shop.products'], 'user and password percent-encoded'),
        (['mongodb://me:sec/ret@127.0.0.1:1/shop.a'], 'user and password percent-encoded'),
        (['mongodb://me:1/secret@127.0.0.1:1/shop.a'], 'user and password percent-encoded'),
        (['mongodb://me:1?secret=ret@127.0.0.1:1/shop.a'], 'user and password percent-encoded'),
        (['mongodb://me:1#secret@127.0.0.1:1/shop.a'], 'user and password percent-encoded'),
        (['mongodb://me:sec@ret@127.0.0.1:1/shop.a'], 'must be escaped according to RFC 3986'),
        (['mongodb://me:secret@127.0.0.1:1/shop.a?tlss=true'], 'Unknown option: tlss'),
        (['mongodb+srv://me:secret@nowhere.invalid/shop.a'], 'must be mongodb://[USER:PASSWORD@]'),
    ],
)
def test_a_wrong_address_is_reported_without_the_password(inputs: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        opening.open_source(inputs, tree=None)
    assert message in str(error.value)
    assert not any(part in str(error.value) for part in ('me:', 'secret', 'ret@'))
    assert '\n' not in str(error.value)


def test_a_wrong_password_is_not_part_of_the_error(
    mongodb_server: str, collection: Collection
) -> None:
    fill(collection, [product(1, 1, [jpeg(1)])])
    uri = f'{mongodb_server.replace("//", "//me:secret@")}/{collection.full_name}?authSource=admin'
    with pytest.raises(UserError) as error:
        opening.open_source([uri], tree=None)
    assert str(error.value).startswith(
        f'{mongodb_server}/{collection.full_name}: must respond, got: '
    )
    assert 'secret' not in str(error.value)
    assert 'secret' not in repr(mongo_read.parse_address(uri))


@pytest.fixture
def secret_address(
    mongodb_server: str, collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The ways to give an address whose password no graph and no message may contain."""
    fill(collection, [product(n, 1, [jpeg(n)]) for n in range(3)])
    # A secret that the test server, which knows no users, is not asked to check.
    uri = (
        f'{mongodb_server}/{collection.full_name}?authMechanismProperties=AWS_SESSION_TOKEN:s3cret'
    )
    monkeypatch.setenv('SHOP_ADDRESS', uri)
    (tmp_path / 'address').write_text(f'{uri}\n')
    return {
        'plain': uri,
        'env': 'mongodb+env://SHOP_ADDRESS',
        'file': f'mongodb+file://{tmp_path}/address',
    }


@pytest.mark.parametrize('way', ['plain', 'env', 'file'])
def test_a_pickled_source_names_a_secret_and_a_process_resolves_it(
    way: str, secret_address: dict[str, str]
) -> None:
    source = opening.open_source([secret_address[way]], tree=None)
    data = pickle.dumps(source)
    assert b's3cret' not in data
    assert 's3cret' not in repr(source)
    code = (
        'import pickle, sys; s = pickle.load(sys.stdin.buffer); '
        'print(sum(len(p) for r in s.split(range_bytes=1 << 30) for p in s.read(r)))'
    )
    done = subprocess.run([sys.executable, '-c', code], input=data, capture_output=True, check=True)
    assert done.stdout == b'3\n'


def test_user_and_password_are_not_pickled() -> None:
    address = mongo_read.parse_address('mongodb://shopper:s3cret@127.0.0.1:1/shop.a')
    assert not any(part in pickle.dumps(address) for part in (b's3cret', b'shopper'))
    assert address.name == 'mongodb://127.0.0.1:1/shop.a'
    other = mongo_read.parse_address('mongodb://shopper:other@127.0.0.1:1/shop.a')
    assert other.reference != address.reference
    assert mongo_read.parse_address('mongodb://127.0.0.1:1/shop.a').reference.endswith('/shop.a')


def test_a_secret_that_a_worker_lacks_is_an_error_without_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address = mongo_read.parse_address('mongodb://me:s3cret@127.0.0.1:1/shop.a')
    monkeypatch.delenv(address.reference.removeprefix('mongodb+env://'))
    with pytest.raises(UserError, match=r'reaches only workers on this machine; use mongodb\+env'):
        mongo_read.count_documents(address, {})
    with pytest.raises(UserError, match='the environment variable GONE is empty or not set'):
        opening.open_source(['mongodb+env://GONE'], tree=None)
    with pytest.raises(UserError, match=f'{tmp_path}/gone: must contain a mongodb address, got: '):
        opening.open_source([f'mongodb+file://{tmp_path}/gone'], tree=None)
    monkeypatch.setenv('WRONG', 's3cret')
    with pytest.raises(UserError, match='must name a mongodb address, but something else on this'):
        opening.open_source(['mongodb+env://WRONG'], tree=None)


def test_errors_do_not_show_a_named_address(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = 'mongodb://me:s3cret@127.0.0.1:1/shop.a?serverSelectionTimeoutMS=200'
    monkeypatch.setenv('SHOP', uri)
    with pytest.raises(UserError) as error:
        opening.open_source(['mongodb+env://SHOP'], tree=None)
    assert str(error.value).startswith('mongodb+env://SHOP (shop.a): must respond, got: the server')
    assert not any(part in str(error.value) for part in ('s3cret', 'me:', '127.0.0.1'))
    monkeypatch.setenv('SHOP', 'mongodb://me:s3cret@127.0.0.1:1/shop')
    with pytest.raises(UserError, match='got one without a collection'):
        opening.open_source(['mongodb+env://SHOP'], tree=None)
