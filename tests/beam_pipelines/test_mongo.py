"""A MongoDB collection as a source, against a real wire server on this machine."""

import dataclasses
import json
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import bson
import numpy as np
import pytest
from bson import Decimal128, Int64, ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection

from beam_pipelines.scan import seams
from beam_pipelines.scan.scan import Counts, Rejected
from beam_pipelines.scan.seams import Edge
from beam_pipelines.sources import mongo, mongo_read, opening
from beam_pipelines.sources.mongo import MongoCollection
from beam_pipelines.table import Table, join
from catalog.errors import UserError
from tests.beam_pipelines.shop import CATEGORY_IDS, files, jpeg, product, run_door, shop

LABEL_OF = {category_id: label for label, category_id in enumerate(CATEGORY_IDS)}
SERVER = 'SecantusDB==0.7.0b3'
ENVIRONMENT = Path(__file__).resolve().parents[2] / '.venv-mongo'


def environment() -> Path:
    """The Python of an environment that has the server, made if there is none yet."""
    python = ENVIRONMENT / 'bin' / 'python'
    ready = ENVIRONMENT / f'{SERVER}.ready'
    if not ready.exists():
        commands = [
            [sys.executable, '-m', 'venv', '--clear', str(ENVIRONMENT)],
            [str(python), '-m', 'pip', 'install', '--quiet', SERVER],
        ]
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ['no reason given'])[-1]
                pytest.skip(f'the MongoDB test server cannot be installed: {last}')
        ready.touch()
    return python


def start() -> tuple[subprocess.Popen, str]:
    """A server's process and its address."""
    process = subprocess.Popen(
        [str(environment()), str(Path(__file__).with_name('mongo_server.py'))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    uri = process.stdout.readline().strip().rstrip('/')
    if not uri:
        process.wait()
        pytest.skip(f'the MongoDB test server does not start: exit code {process.returncode}')
    return process, uri


@pytest.fixture(scope='session')
def server() -> Iterator[str]:
    process, uri = start()
    yield uri
    process.kill()
    process.communicate()


@pytest.fixture
def client(server: str) -> Iterator[MongoClient]:
    with MongoClient(server) as client:
        yield client


@pytest.fixture
def collection(client: MongoClient, request: pytest.FixtureRequest) -> Collection:
    name = ''.join(c if c.isalnum() else '_' for c in request.node.name)
    return client['shop'][name]


def open_(server: str, collection: Collection) -> MongoCollection:
    return mongo.open_collection(f'{server}/{collection.full_name}')


def fill(collection: Collection, documents: list[bytes]) -> None:
    """Inserts documents, not in order of their ids."""
    order = np.random.default_rng(0).permutation(len(documents))
    collection.insert_many([bson.decode(documents[n]) for n in order.tolist()])


def scan_all(source: MongoCollection, *, range_bytes: int) -> tuple[Table, list[Rejected], Counts]:
    """Scans all ranges as the job does."""
    scans = [
        source.scan(scanned, label_of=LABEL_OF, decode=False)
        for scanned in source.split(range_bytes=range_bytes)
    ]
    edges = [Edge(s.range.file, s.range.start, s.range.stop, s.first, s.end) for s in scans]
    proof = seams.prove(edges, lambda scanned, start: source.end_of(scanned, start=start))
    assert not proof.again
    assert len(proof.proven) == len(scans)
    counts = Counts()
    for scan in scans:
        counts.add(scan.counts)
    rejected = [piece for scan in scans for piece in scan.rejected]
    return join(scan.table for scan in scans), rejected, counts


def test_the_same_products_give_the_same_bytes_from_bson_and_from_mongodb(
    server: str, collection: Collection, categories_path: Path, tmp_path: Path
) -> None:
    documents = shop(120)
    documents += [
        bson.encode({'category_id': Int64(CATEGORY_IDS[1]), 'imgs': [], '_id': -7}),
        bson.encode(
            {
                '_id': Int64(2**40),
                'title': 'x' * 5000,
                'imgs': [{'picture': jpeg(9000), 'width': 16}],
                'category_id': Int64(CATEGORY_IDS[2]),
            }
        ),
        product(-3, CATEGORY_IDS[0], [jpeg(1), b'no picture', jpeg(2)]),
        product(77, 42, [jpeg(3), jpeg(4)]),
        product(78, None, [jpeg(5)]),
        bson.encode({'_id': 'seven', 'imgs': [{'picture': jpeg(6)}]}),
        bson.encode({'_id': 7.5, 'imgs': [{'picture': jpeg(7)}]}),
    ]
    path = tmp_path / 'train.bson'
    path.write_bytes(b''.join(documents))
    fill(collection, documents)
    options = [
        f'--categories={categories_path}',
        '--max_rejected_fraction=0.1',
        '--shards=3',
        '--balance=sqrt',
    ]
    inputs = {'bson': str(path), 'mongo': f'{server}/{collection.full_name}'}
    for name, given in inputs.items():
        done = run_door(
            f'--input={given}', f'--output={tmp_path / name}', '--range_mb=0.02', *options
        )
        assert done.returncode == 0, done.stderr
    made = {name: files(tmp_path / name) for name in inputs}
    kept = {
        name: {file: data for file, data in found.items() if not file.startswith('rejected/')}
        for name, found in made.items()
    }
    assert kept['mongo'] == kept['bson']
    assert {'manifest.json', 'train-00002-of-00003.tfrecord'} < set(kept['mongo'])
    assert json.loads(kept['mongo']['manifest.json'])['ledger']['documents']['read'] == 127
    assert rejected_bytes(tmp_path / 'mongo') == rejected_bytes(tmp_path / 'bson')


def rejected_bytes(output: Path) -> Counter:
    lines = (output / 'rejected' / 'rejected.jsonl').read_text().splitlines()
    with zipfile.ZipFile(output / 'rejected' / 'rejected.zip') as archive:
        return Counter(
            (r['reason'], r['product_id'], r['picture'], document_of(archive.read(r['bytes']), r))
            for r in map(json.loads, lines)
        )


def document_of(data: bytes, rejected: dict) -> str:
    """The bytes, but the order of a document's fields: the server puts _id first."""
    return repr(sorted(bson.decode(data).items()) if rejected['picture'] is None else data)


@pytest.mark.parametrize('range_bytes', [1, 3000, 20_000, 1 << 30])
def test_every_document_is_in_one_range_whatever_its_id(
    range_bytes: int, server: str, collection: Collection
) -> None:
    ids = [*range(-5, 40), 100, 10**6, 2**31, 2**62, 2**63 - 1, -(2**63)]
    fill(collection, [product(n, CATEGORY_IDS[0], [jpeg(n % 97)]) for n in ids])
    others = [
        7.5, 7.25, -0.5, float('inf'), float('nan'), 1e300, Decimal128('8.1'),
        Decimal128('-1E+6000'), None, 'a', 'b', ObjectId(), True, b'x', {'a': 1},
    ]  # fmt: skip
    collection.insert_many([{'_id': n, 'category_id': k} for k, n in enumerate(others)])
    source = open_(server, collection)
    assert source.total_bytes() == sum(len(d) for d in collection.find_raw_batches())
    table, rejected, counts = scan_all(source, range_bytes=range_bytes)
    assert sorted(table['product_id'].tolist()) == sorted(ids)
    assert counts.documents == Counter(read=len(ids + others), rejected_wrong_type=len(others))
    kept = Counter(source.fetch_rejected(piece) for piece in rejected)
    wanted = {'_id': {'$not': {'$type': ['int', 'long']}}}
    assert kept == Counter(bson.encode(d) for d in collection.find(wanted))
    places = [(piece.file, piece.offset, piece.product_id) for piece in rejected]
    assert len(set(places)) == len(others)


def test_pictures_come_back_in_the_order_they_were_asked_for(
    server: str, collection: Collection
) -> None:
    fill(
        collection,
        [product(3 * n, CATEGORY_IDS[0], [jpeg(n), jpeg(n + 5000)]) for n in range(1200)],
    )
    source = open_(server, collection)
    table, _, _ = scan_all(source, range_bytes=100_000)
    rows = np.concatenate([table, table[:50]])[np.random.default_rng(0).permutation(2450)]
    wanted = [jpeg(r['product_id'] // 3 + 5000 * r['index']) for r in rows]
    assert source.fetch(rows) == wanted


def test_a_product_that_is_gone_is_an_error_that_names_it(
    server: str, collection: Collection
) -> None:
    fill(collection, [product(n, CATEGORY_IDS[0], [jpeg(n)]) for n in range(5)])
    source = open_(server, collection)
    table, _, _ = scan_all(source, range_bytes=1 << 20)
    collection.delete_one({'_id': 3})
    with pytest.raises(UserError, match='must not change while it is read, product 3 is gone'):
        source.fetch(table)


@pytest.mark.parametrize('fault', [{'closeConnection': True}, {'errorCode': 43}])
def test_a_lost_cursor_or_connection_is_taken_up_where_it_was(
    fault: dict, server: str, client: MongoClient, collection: Collection
) -> None:
    documents = [product(n, CATEGORY_IDS[0], [jpeg(n % 50)]) for n in range(500)]
    documents += [bson.encode({'_id': f'{n:03}', 'imgs': []}) for n in range(250)]
    fill(collection, documents)
    source = open_(server, collection)
    undisturbed = scan_all(source, range_bytes=1 << 30)

    def disturb(times: int) -> None:
        client.admin.command(
            'configureFailPoint',
            'failCommand',
            mode={'times': times},
            data={'failCommands': ['getMore'], **fault},
        )

    disturb(3)
    table, rejected, counts = scan_all(source, range_bytes=1 << 30)
    assert (table.tobytes(), rejected, counts) == (undisturbed[0].tobytes(), *undisturbed[1:])
    assert list(collection.find(batch_size=100))  # the three faults are used up
    disturb(1)
    assert source.fetch(table) == [jpeg(n % 50) for n in range(500)]


def test_a_server_that_stays_away_is_an_error_of_one_line() -> None:
    process, uri = start()
    with MongoClient(uri) as client:
        fill(client['shop']['dying'], [product(n, 1, [jpeg(n)]) for n in range(3)])
    source = mongo.open_collection(f'{uri}/shop.dying')
    (scanned,) = source.split(range_bytes=1 << 30)
    process.kill()
    process.communicate()
    # From here on it need not be waited for: a busy machine must have time to find it before.
    impatient = mongo_read.parse(f'{uri}/shop.dying?serverSelectionTimeoutMS=200')
    source = dataclasses.replace(source, address=impatient)
    with pytest.raises(UserError) as error:
        source.scan(scanned, label_of=LABEL_OF, decode=False)
    assert str(error.value).startswith(f'{uri}/shop.dying: must answer, got: ')
    assert '\n' not in str(error.value)


def test_a_collection_without_products_is_refused_at_once(
    server: str, collection: Collection
) -> None:
    with pytest.raises(UserError, match='must hold products with an integer as _id, got none'):
        open_(server, collection)
    collection.insert_one({'_id': 'sku-1', 'imgs': []})
    with pytest.raises(UserError, match="got 1 documents with others, such as 'sku-1'"):
        open_(server, collection)


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        (
            ['mongodb://me:secret@127.0.0.1:1', '127.0.0.1:2/shop.a?serverSelectionTimeoutMS=200'],
            'mongodb://127.0.0.1:1,127.0.0.1:2/shop.a: must answer, got: ',
        ),
        (['mongodb://me:secret@127.0.0.1:1/shop'], 'got mongodb://127.0.0.1:1/shop without a coll'),
        (['mongodb://me:secret@127.0.0.1:1'], 'got mongodb://127.0.0.1:1/ without a collection'),
        (['mongodb://me:secret/shop.products'], 'user and password percent-encoded'),
        (['mongodb://me:sec/ret@127.0.0.1:1/shop.a'], 'user and password percent-encoded'),
        (['mongodb://me:secret@127.0.0.1:1/shop.a?tlss=true'], 'Unknown option: tlss'),
        (['mongodb+srv://me:secret@nowhere.invalid/shop.a'], 'must be mongodb://[USER:PASSWORD@]'),
    ],
)
def test_a_wrong_address_is_told_without_the_password(inputs: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        opening.open_source(inputs, tree=None)
    assert message in str(error.value)
    assert not any(part in str(error.value) for part in ('me:', 'secret', 'ret@'))
    assert '\n' not in str(error.value)


def test_a_wrong_password_is_told_without_it(server: str, collection: Collection) -> None:
    fill(collection, [product(1, 1, [jpeg(1)])])
    uri = f'{server.replace("//", "//me:secret@")}/{collection.full_name}?authSource=admin'
    with pytest.raises(UserError) as error:
        opening.open_source([uri], tree=None)
    assert str(error.value).startswith(f'{server}/{collection.full_name}: must answer, got: ')
    assert 'secret' not in str(error.value)
    assert 'secret' not in repr(mongo_read.parse(uri))
