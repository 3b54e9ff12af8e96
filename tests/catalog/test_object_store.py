"""Reads and writes objects of each store through a proxy that injects faults; writes are atomic."""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from catalog import object_store, storage
from catalog.stores import limits
from tests import buckets, gcs_emulator
from tests.buckets import Bucket
from tests.gcs_emulator import CutDownload, CutUpload, Fault, Proxy, Refuse, Request

DATA = np.random.default_rng(0).bytes(3 << 20)
IN_CHUNKS = np.random.default_rng(1).bytes((32 << 20) + 1000)  # more than one request's worth

Through = Callable[..., Proxy]


@pytest.fixture(scope='module', params=['gs://', 's3://', 'az://'])
def bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    with buckets.running(request.param) as bucket:
        bucket.write('here', DATA)
        yield bucket


@pytest.fixture
def through(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Through]:
    """Starts a proxy to the store that injects a fault, and makes clients use it."""
    monkeypatch.setattr(limits, 'FIRST_WAIT_SECONDS', 0.05)
    with contextlib.ExitStack() as stack:

        def start(fault: Callable[[Request], Fault | None] = lambda request: None) -> Proxy:
            proxy = stack.enter_context(gcs_emulator.running_proxy(bucket.url, fault))
            for name, value in bucket.environment(proxy.url).items():
                monkeypatch.setenv(name, value)
            return proxy

        yield start


def media(request: Request) -> bool:
    return request.reads_media


def uploads(request: Request) -> bool:
    return request.uploads


def test_each_range_is_read_with_one_request(through: Through, bucket: Bucket) -> None:
    proxy = through()
    with storage.open_reader(bucket.path('here')) as reader:
        assert reader.read_at(1000, 70_000) == DATA[1000:71_000]
        assert reader.read_at(len(DATA) - 5, 100) == DATA[-5:]
        assert reader.read_at(len(DATA), 1) == b''
        assert reader.read_at(5, 0) == b''
    assert (proxy.log.media_requests, proxy.log.media_bytes) == (3, 70_005)


def test_an_object_becomes_visible_when_it_is_complete(through: Through, bucket: Bucket) -> None:
    through()
    with storage.write_atomic(bucket.path('new/object')) as file:
        file.write(DATA[:10])
        assert bucket.read('new/object') is None
    assert bucket.read('new/object') == DATA[:10]
    assert storage.read_bytes(bucket.path('new/object')) == DATA[:10]
    assert storage.size(bucket.path('new/object')) == 10


def test_a_failed_write_leaves_the_old_object(through: Through, bucket: Bucket) -> None:
    through()
    storage.write_bytes(bucket.path('kept'), b'old')
    with pytest.raises(ZeroDivisionError), storage.write_atomic(bucket.path('kept')) as file:
        file.write(b'new' + bytes([1 // 0]))
    assert bucket.read('kept') == b'old'


def test_objects_are_renamed_and_deleted(through: Through, bucket: Bucket) -> None:
    through()
    storage.write_bytes(bucket.path('a/old'), b'moved')
    storage.write_bytes(bucket.path('b/new'), b'replaced')
    storage.rename(bucket.path('a/old'), bucket.path('b/new'))
    assert (bucket.read('a/old'), bucket.read('b/new')) == (None, b'moved')
    storage.delete(bucket.path('b/new'))
    storage.delete(bucket.path('b/new'))  # does not exist anymore: no error
    assert not storage.exists(bucket.path('b/new'))
    for name in ('c/1', 'c/d/2', 'cd'):
        storage.write_bytes(bucket.path(name), b'')
    storage.delete_folder(bucket.path('c'))
    assert [bucket.read(name) for name in ('c/1', 'c/d/2', 'cd')] == [None, None, b'']


def test_patterns_and_folders_are_listed_like_local_ones(through: Through, bucket: Bucket) -> None:
    through()
    for name in ('f/b.bson', 'f/a.bson', 'f/c.txt', 'f/sub/d.bson', 'f+/e.bson'):
        storage.write_bytes(bucket.path(name), b'')
    assert storage.list_files(bucket.path('f')) == ['a.bson', 'b.bson', 'c.txt']
    assert storage.list_files(bucket.path('none')) == []
    for pattern, names in [
        ('f/*.bson', ['f/a.bson', 'f/b.bson']),
        ('f/[!b].*', ['f/a.bson', 'f/c.txt']),
        ('f/?.txt', ['f/c.txt']),
        ('f/**/*.bson', ['f/a.bson', 'f/b.bson', 'f/sub/d.bson']),
        ('f/**', ['f/a.bson', 'f/b.bson', 'f/c.txt', 'f/sub/d.bson']),
        ('f?/*', ['f+/e.bson']),
        ('f/a.bson', ['f/a.bson']),
        ('f/none*', []),
    ]:
        assert storage.glob(bucket.path(pattern)) == [bucket.path(n) for n in names], pattern
    storage.write_bytes(bucket.path('photos [1]*/a/b.jpg'), b'')
    storage.write_bytes(bucket.path('photos 1/a/b.jpg'), b'')
    assert storage.glob_below(bucket.path('photos [1]*'), '**') == [
        bucket.path('photos [1]*/a/b.jpg')
    ]


def test_a_missing_object_is_named(through: Through, bucket: Bucket) -> None:
    through()
    for path in (bucket.path('none'), f'{bucket.scheme}no-such-bucket/none'):
        for read in (storage.read_bytes, storage.size):
            with pytest.raises(FileNotFoundError, match='No such object') as caught:
                read(path)
            assert caught.value.filename == path
    with pytest.raises(FileNotFoundError, match='No such object or bucket'):
        object_store.write_generation(
            f'{bucket.scheme}no-such-bucket/none', b'', replaced=None, seconds=1.0
        )


@pytest.mark.parametrize(
    'fault',
    [Refuse(429), Refuse(503), CutDownload(100_000)],
    ids=['429', '503', 'cut'],
)
@pytest.mark.parametrize('times', [1, 2])
def test_a_read_is_retried_after_transient_errors(
    fault: Fault, times: int, through: Through, bucket: Bucket
) -> None:
    proxy = through(gcs_emulator.first(times, fault, media))
    with storage.open_reader(bucket.path('here')) as reader:
        assert reader.read_at(1000, 2_000_000) == DATA[1000:2_001_000]
    assert proxy.log.media_requests == times + 1


@pytest.mark.parametrize(
    'fault', [Refuse(429), Refuse(503), CutUpload(100_000)], ids=['429', '503', 'cut']
)
@pytest.mark.parametrize('times', [1, 2])
def test_a_write_is_retried_after_transient_errors(
    fault: Fault, times: int, through: Through, bucket: Bucket
) -> None:
    proxy = through(gcs_emulator.first(times, fault, uploads))
    storage.write_bytes(bucket.path('again'), DATA)
    assert bucket.read('again') == DATA
    assert sum(map(uploads, proxy.log.requests)) == times + 1


@pytest.mark.parametrize('fault', [Refuse(503), CutUpload(400)], ids=['503', 'cut'])
def test_an_upload_in_chunks_resumes_after_an_error(
    fault: Fault, through: Through, bucket: Bucket
) -> None:
    def last_chunk(request: Request) -> bool:
        return request.method == 'PUT' and request.body_bytes == 1000

    proxy = through(gcs_emulator.first(1, fault, last_chunk))
    storage.write_bytes(bucket.path('chunks'), IN_CHUNKS)
    assert bucket.read('chunks') == IN_CHUNKS
    parts = [request.body_bytes for request in proxy.log.requests]
    assert sum(part for part in parts if part > 10_000) == 32 << 20  # each once


@pytest.mark.parametrize(
    ('fault', 'message'),
    [
        (Refuse(503), 'The object store failed for 1 s, last error HTTP 503'),
        (CutUpload(100_000), 'The object store failed for 1 s, last error (Connection|HTTP error)'),
        (Refuse(403), 'The object store denied access, HTTP 403'),
    ],
    ids=['503', 'cut', '403'],
)
def test_a_write_that_never_succeeds_is_an_error_in_one_line_and_leaves_no_object(
    fault: Fault,
    message: str,
    through: Through,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, 'RETRY_SECONDS', 1.0)
    through(gcs_emulator.first(1000, fault, uploads))
    with pytest.raises(OSError, match=message) as caught:
        storage.write_bytes(bucket.path('never'), DATA)
    assert caught.value.filename == bucket.path('never')
    assert '\n' not in str(caught.value)
    assert bucket.read('never') is None


@pytest.mark.parametrize('fault', [Refuse(503), CutDownload(1000)], ids=['503', 'cut'])
def test_a_read_that_never_succeeds_is_an_error_and_never_truncated(
    fault: Fault, through: Through, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, 'RETRY_SECONDS', 1.0)
    through(gcs_emulator.first(1000, fault, media))
    with pytest.raises(OSError, match=r'failed for 1 s|response body error') as caught:
        storage.read_bytes(bucket.path('here'))
    assert caught.value.filename == bucket.path('here')
