"""A MongoDB collection as a source, with a real wire server on this machine."""

import dataclasses
from collections import Counter
from collections.abc import Iterator

import bson
import numpy as np
import pytest
from bson import Decimal128, ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection

from catalog.errors import UserError
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
    with pytest.raises(UserError, match='must contain products with an integer _id, got none'):
        open_(mongodb_server, collection)
    collection.insert_one({'_id': 'sku-1', 'imgs': []})
    with pytest.raises(UserError, match="got 1 documents with other ids, such as 'sku-1'"):
        open_(mongodb_server, collection)


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
