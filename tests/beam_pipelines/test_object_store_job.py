"""The shard job from an object store to an object store: the same bytes, few requests."""

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.stores import limits
from tests import buckets, gcs_emulator
from tests.beam_pipelines.running import files, run_command, run_job
from tests.gcs_emulator import CutDownload, CutUpload, Fault, Proxies, Refuse, Request
from tests.shop import photo_dump

OPTIONS = {'shards': 4, 'validation_fraction': 0.1, 'test_fraction': 0.05}


@pytest.fixture(scope='module')
def dump() -> bytes:
    return photo_dump(900)


@pytest.fixture
def store(dump: bytes, categories_path: Path) -> Iterator[str]:
    with gcs_emulator.running_store() as url:
        bucket = gcs_emulator.client(url).create_bucket('shop')
        bucket.blob('raw/train.bson').upload_from_string(dump)
        bucket.blob('raw/category_names.csv').upload_from_filename(str(categories_path))
        yield url


@pytest.fixture
def through(store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxies]:
    monkeypatch.setattr(limits, 'FIRST_WAIT_SECONDS', 0.05)
    with gcs_emulator.proxies(store, monkeypatch) as start:
        yield start


def shard(source: str, tree: Path, output: str, **others: object) -> None:
    run_job(source, tree, output, **(OPTIONS | others))


@pytest.fixture(scope='module')
def local(dump: bytes, categories_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('local')
    (folder / 'train.bson').write_bytes(dump)
    shard(str(folder / 'train.bson'), categories_path, str(folder / 'out'))
    return folder / 'out'


def objects(store: str, folder: str) -> dict[str, bytes]:
    """Every object below a folder, by relative name, as the official client reads them."""
    blobs = gcs_emulator.client(store).list_blobs('shop', prefix=folder + '/')
    return {blob.name.removeprefix(folder + '/'): blob.download_as_bytes() for blob in blobs}


@pytest.mark.parametrize('balance', ['none', 'sqrt'])
def test_pictures_are_read_in_few_requests_and_about_once(
    balance: str, store: str, through: Proxies, categories_path: Path
) -> None:
    proxy = through()
    shard('gs://shop/raw/train.bson', categories_path, 'gs://shop/out', balance=balance)
    reads = proxy.log.reads
    first_shard = next(i for i, (path, _) in enumerate(reads) if '_staging' in path)
    of_input = [length for path, length in reads[first_shard:] if 'train.bson' in path]
    kept = sum(len(data) for name, data in objects(store, 'out').items() if '.tfrecord' in name)
    assert len(of_input) <= kept / 2**20
    assert sum(of_input) <= 1.3 * kept


def test_the_bytes_are_those_of_a_local_run(
    local: Path, store: str, through: Proxies, categories_path: Path
) -> None:
    through()
    shard('gs://shop/raw/train.bson', categories_path, 'gs://shop/out')
    assert objects(store, 'out') == files(local)


def test_a_store_that_fails_sometimes_gives_the_same_bytes(
    local: Path, store: str, through: Proxies, categories_path: Path
) -> None:
    turn = itertools.count()

    def now_and_then(request: Request) -> Fault | None:
        faults = [Refuse(503), None, None, Refuse(429), None, None, None]
        if request.reads_media:
            faults[1] = CutDownload(after_bytes=1000)
        if request.uploads:
            faults[1] = CutUpload(after_bytes=1000)
        return faults[next(turn) % len(faults)]

    proxy = through(now_and_then)
    shard('gs://shop/raw/train.bson', categories_path, 'gs://shop/out')
    assert objects(store, 'out') == files(local)
    assert len(proxy.log.requests) > 50


@pytest.mark.parametrize('fault', [Refuse(503), CutUpload(after_bytes=100_000)], ids=['503', 'cut'])
def test_a_store_that_fails_for_long_ends_the_run_and_resume_gives_the_same_bytes(
    fault: Fault,
    local: Path,
    store: str,
    through: Proxies,
    categories_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def third_shard(request: Request) -> Fault | None:
        return fault if request.uploads and request.body_bytes > 1 << 20 and third() else None

    def third() -> bool:
        return sum('train-0' in name for name in objects(store, 'out')) >= 4  # two, with receipts

    monkeypatch.setattr(limits, 'RETRY_SECONDS', 1.0)
    through(third_shard)
    with pytest.raises(OSError, match='The object store failed for 1 s') as caught:
        shard('gs://shop/raw/train.bson', categories_path, 'gs://shop/out')
    assert caught.value.filename == 'gs://shop/out/_staging/train-00002-of-00004.tfrecord'
    left = objects(store, 'out')
    assert {name.split('/')[0] for name in left} == {'_staging'}
    for name in ('train-00000-of-00004.tfrecord', 'train-00001-of-00004.tfrecord'):
        assert left[f'_staging/{name}'] == files(local)[name]

    monkeypatch.setattr(limits, 'RETRY_SECONDS', 60.0)
    proxy = through()
    shard('gs://shop/raw/train.bson', categories_path, 'gs://shop/out', resume=True)
    assert objects(store, 'out') == files(local)
    uploaded = [r.body_bytes for r in proxy.log.requests if r.uploads and r.body_bytes > 1 << 20]
    assert len(uploaded) == 2  # of four train shards


@pytest.mark.parametrize('scheme', ['s3://', 'az://'])
def test_other_stores_that_fail_sometimes_and_then_for_long_give_the_same_bytes(
    scheme: str,
    dump: bytes,
    local: Path,
    categories_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turn = itertools.count()

    def now_and_then(request: Request) -> Fault | None:
        cut = CutUpload(after_bytes=1000) if request.uploads else None
        cut = CutDownload(after_bytes=1000) if request.reads_media else cut
        return [Refuse(503), cut, None, Refuse(429), None, None, None][next(turn) % 7]

    def second_shard(request: Request) -> Fault | None:
        is_second = request.uploads and '_staging/train-00001' in request.path
        return CutUpload(after_bytes=100_000) if is_second else now_and_then(request)

    monkeypatch.setattr(limits, 'FIRST_WAIT_SECONDS', 0.02)
    monkeypatch.setattr(limits, 'RETRY_SECONDS', 1.0)
    with buckets.running(scheme) as bucket:
        bucket.write('raw/train.bson', dump)
        with gcs_emulator.running_proxy(bucket.url, second_shard) as proxy:
            for name, value in bucket.environment(proxy.url).items():
                monkeypatch.setenv(name, value)
            source, output = bucket.path('raw/*.bson'), bucket.path('out')
            with pytest.raises(OSError, match='The object store failed for 1 s') as caught:
                shard(source, categories_path, output)
            assert 'out/_staging/train-00001-of-00004.tfrecord' in str(caught.value.filename)
            assert {name.split('/')[0] for name in bucket.objects('out')} == {'_staging'}

            monkeypatch.setattr(limits, 'RETRY_SECONDS', 60.0)
            proxy.fault = now_and_then
            shard(source, categories_path, output, resume=True)
            assert bucket.objects('out') == files(local)
            assert next(turn) > 50


def test_the_job_requests_no_credentials_for_an_emulator(
    local: Path, store: str, through: Proxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    through()
    with socket.create_server(('127.0.0.1', 0)) as metadata_server:
        address = f'127.0.0.1:{metadata_server.getsockname()[1]}'
        monkeypatch.setenv('GCE_METADATA_HOST', address)
        monkeypatch.setenv('GCE_METADATA_IP', address)
        arguments = [f'--{name}={value}' for name, value in OPTIONS.items()]
        done = run_command(
            '--input=gs://shop/raw/*.bson',
            '--categories=gs://shop/raw/category_names.csv',
            '--output=gs://shop/out',
            *arguments,
        )
        assert done.returncode == 0, done.stderr
        metadata_server.setblocking(False)
        with pytest.raises(BlockingIOError):
            metadata_server.accept()
    assert objects(store, 'out') == files(local)
