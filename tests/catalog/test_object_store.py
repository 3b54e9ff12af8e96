"""Reads and writes objects through a proxy that injects faults. Writes stay atomic."""

import contextlib
import json
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from catalog import object_store, storage
from tests import gcs_emulator
from tests.gcs_emulator import CutDownload, CutUpload, Fault, FlipDownload, Proxy, Refuse, Request

DATA = np.random.default_rng(0).bytes(3 << 20)
IN_CHUNKS = np.random.default_rng(1).bytes((32 << 20) + 1000)  # more than one request's worth

Through = Callable[..., Proxy]


@pytest.fixture(scope='module')
def store() -> Iterator[str]:
    with gcs_emulator.running_store() as url:
        bucket = gcs_emulator.client(url).create_bucket('shop')
        bucket.blob('here').upload_from_string(DATA)
        yield url


@pytest.fixture
def through(store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Through]:
    """Starts a proxy to the store that injects a fault, and makes clients use it."""
    monkeypatch.setattr(object_store, 'FIRST_WAIT_SECONDS', 0.05)
    with contextlib.ExitStack() as stack:

        def start(fault: Callable[[Request], Fault | None] = lambda request: None) -> Proxy:
            proxy = stack.enter_context(gcs_emulator.running_proxy(store, fault))
            monkeypatch.setenv('STORAGE_EMULATOR_HOST', proxy.url)
            return proxy

        yield start


@pytest.fixture
def held(store: str) -> Callable[[str], bytes | None]:
    """Reads an object from the store without the proxy; None if it does not exist."""

    def read(name: str) -> bytes | None:
        blob = gcs_emulator.client(store).bucket('shop').get_blob(name)
        return blob and blob.download_as_bytes()

    return read


def media(request: Request) -> bool:
    return request.reads_media


def uploads(request: Request) -> bool:
    return request.uploads


def test_each_range_is_read_with_one_request(through: Through) -> None:
    proxy = through()
    with storage.open_reader('gs://shop/here') as reader:
        assert reader.read_at(1000, 70_000) == DATA[1000:71_000]
        assert reader.read_at(len(DATA) - 5, 100) == DATA[-5:]
        assert reader.read_at(len(DATA), 1) == b''
        assert reader.read_at(5, 0) == b''
    assert (proxy.log.media_requests, proxy.log.media_bytes) == (3, 70_005)


def test_an_object_becomes_visible_when_it_is_complete(
    through: Through, held: Callable[[str], bytes | None]
) -> None:
    through()
    with storage.write_atomic('gs://shop/new/object') as file:
        file.write(DATA[:10])
        assert held('new/object') is None
    assert held('new/object') == DATA[:10]
    assert storage.read_bytes('gs://shop/new/object') == DATA[:10]
    assert storage.size('gs://shop/new/object') == 10


def test_a_failed_write_leaves_the_old_object(
    through: Through, held: Callable[[str], bytes | None]
) -> None:
    through()
    storage.write_bytes('gs://shop/kept', b'old')
    with pytest.raises(ZeroDivisionError), storage.write_atomic('gs://shop/kept') as file:
        file.write(b'new' + bytes([1 // 0]))
    assert held('kept') == b'old'


def test_objects_are_renamed_and_deleted(
    through: Through, held: Callable[[str], bytes | None]
) -> None:
    through()
    storage.write_bytes('gs://shop/a/old', b'moved')
    storage.write_bytes('gs://shop/b/new', b'replaced')
    storage.rename('gs://shop/a/old', 'gs://shop/b/new')
    assert (held('a/old'), held('b/new')) == (None, b'moved')
    storage.delete('gs://shop/b/new')
    storage.delete('gs://shop/b/new')  # does not exist anymore: no error
    assert not storage.exists('gs://shop/b/new')
    for name in ('c/1', 'c/d/2', 'cd'):
        storage.write_bytes(f'gs://shop/{name}', b'')
    storage.delete_folder('gs://shop/c')
    assert [held(name) for name in ('c/1', 'c/d/2', 'cd')] == [None, None, b'']


def test_patterns_and_folders_are_listed_like_local_ones(through: Through) -> None:
    through()
    for name in ('f/b.bson', 'f/a.bson', 'f/c.txt', 'f/sub/d.bson', 'f+/e.bson'):
        storage.write_bytes(f'gs://shop/{name}', b'')
    assert storage.list_files('gs://shop/f') == ['a.bson', 'b.bson', 'c.txt']
    assert storage.list_files('gs://shop/none') == []
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
        assert storage.glob(f'gs://shop/{pattern}') == [f'gs://shop/{n}' for n in names], pattern
    storage.write_bytes('gs://shop/photos [1]*/a/b.jpg', b'')
    storage.write_bytes('gs://shop/photos 1/a/b.jpg', b'')
    assert storage.glob_below('gs://shop/photos [1]*', '**') == ['gs://shop/photos [1]*/a/b.jpg']


def test_a_missing_object_is_named(through: Through) -> None:
    through()
    for path in ('gs://shop/none', 'gs://no-such-bucket/none'):
        for read in (storage.read_bytes, storage.size):
            with pytest.raises(FileNotFoundError, match='No such object') as caught:
                read(path)
            assert caught.value.filename == path


@pytest.mark.parametrize(
    'fault',
    [Refuse(429), Refuse(503), CutDownload(100_000)],
    ids=['429', '503', 'cut'],
)
@pytest.mark.parametrize('times', [1, 2])
def test_a_read_is_retried_after_transient_errors(
    fault: Fault, times: int, through: Through
) -> None:
    proxy = through(gcs_emulator.first(times, fault, media))
    with storage.open_reader('gs://shop/here') as reader:
        assert reader.read_at(1000, 2_000_000) == DATA[1000:2_001_000]
    assert proxy.log.media_requests == times + 1


@pytest.mark.parametrize(
    'fault', [Refuse(429), Refuse(503), CutUpload(100_000)], ids=['429', '503', 'cut']
)
@pytest.mark.parametrize('times', [1, 2])
def test_a_write_is_retried_after_transient_errors(
    fault: Fault, times: int, through: Through, held: Callable[[str], bytes | None]
) -> None:
    proxy = through(gcs_emulator.first(times, fault, uploads))
    storage.write_bytes('gs://shop/again', DATA)
    assert held('again') == DATA
    assert sum(map(uploads, proxy.log.requests)) == times + 1


@pytest.mark.parametrize('fault', [Refuse(503), CutUpload(400)], ids=['503', 'cut'])
def test_an_upload_in_chunks_resumes_after_an_error(
    fault: Fault, through: Through, held: Callable[[str], bytes | None]
) -> None:
    def last_chunk(request: Request) -> bool:
        return request.method == 'PUT' and request.body_bytes == 1000

    proxy = through(gcs_emulator.first(1, fault, last_chunk))
    storage.write_bytes('gs://shop/chunks', IN_CHUNKS)
    assert held('chunks') == IN_CHUNKS
    assert sum(request.body_bytes == 32 << 20 for request in proxy.log.requests) == 1


@pytest.mark.parametrize(
    ('fault', 'message'),
    [
        (Refuse(503), 'The object store failed for 1 s, last error HTTP 503'),
        (CutUpload(100_000), 'The object store failed for 1 s, last error Connection'),
        (Refuse(403), 'The object store denied access, HTTP 403'),
    ],
    ids=['503', 'cut', '403'],
)
def test_a_write_that_never_succeeds_is_an_error_in_one_line_and_leaves_no_object(
    fault: Fault,
    message: str,
    through: Through,
    held: Callable[[str], bytes | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(object_store, 'RETRY_SECONDS', 1.0)
    through(gcs_emulator.first(1000, fault, uploads))
    with pytest.raises(OSError, match=message) as caught:
        storage.write_bytes('gs://shop/never', DATA)
    assert caught.value.filename == 'gs://shop/never'
    assert '\n' not in str(caught.value)
    assert held('never') is None


@pytest.mark.parametrize('fault', [Refuse(503), CutDownload(1000)], ids=['503', 'cut'])
def test_a_read_that_never_succeeds_is_an_error_and_never_truncated(
    fault: Fault, through: Through, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, 'RETRY_SECONDS', 1.0)
    through(gcs_emulator.first(1000, fault, media))
    with pytest.raises(OSError, match='failed for 1 s') as caught:
        storage.read_bytes('gs://shop/here')
    assert caught.value.filename == 'gs://shop/here'


def test_a_download_with_a_wrong_checksum_is_an_error(
    through: Through, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, 'RETRY_SECONDS', 1.0)
    through(gcs_emulator.first(1000, FlipDownload(at=1000), media))
    with pytest.raises(OSError, match="does not match the object store's checksum") as caught:
        storage.read_bytes('gs://shop/here')
    assert caught.value.filename == 'gs://shop/here'


def _google_error(status: int, message: str, reason: str) -> Refuse:
    """A refusal as Google Cloud Storage writes it."""
    error = {'message': message, 'domain': 'global', 'reason': reason}
    document = {'error': {'code': status, 'message': message, 'errors': [error]}}
    return Refuse(status, json.dumps(document).encode())


NO_PERMISSION = (
    'me@shop.iam.gserviceaccount.com does not have storage.objects.get access to the Google Cloud '
    "Storage object. Permission 'storage.objects.get' denied on resource (or it may not exist)."
)
CLOSED = 'The billing account for the owning project is disabled in state closed'
REQUESTER_PAYS = 'Bucket is a requester pays bucket but no user project provided.'

ACTIONS = {
    'read': lambda: storage.read_bytes('gs://shop/here'),
    'size': lambda: storage.size('gs://shop/here'),
    'list': lambda: storage.list_files('gs://shop/folder'),
    'glob': lambda: storage.glob('gs://shop/folder/*'),
    'write': lambda: storage.write_bytes('gs://shop/new', DATA),
    'rename': lambda: storage.rename('gs://shop/here', 'gs://shop/there'),
    'delete': lambda: storage.delete('gs://shop/here'),
}


@pytest.mark.parametrize('action', ACTIONS)
@pytest.mark.parametrize(
    ('fault', 'message'),
    [
        (
            _google_error(403, NO_PERMISSION, 'forbidden'),
            f'The object store denied access, HTTP 403: {NO_PERMISSION[:-1]}',
        ),
        (
            _google_error(403, CLOSED, 'accountDisabled'),
            f'The object store denied access, HTTP 403: {CLOSED}',
        ),
        (
            _google_error(400, REQUESTER_PAYS, 'required'),
            f'The object store failed, HTTP 400: {REQUESTER_PAYS[:-1]}; --billing_project=PROJECT '
            'names the project that pays',
        ),
        (
            Refuse(400, REQUESTER_PAYS.encode()),  # as a download is refused
            f'The object store failed, HTTP 400: {REQUESTER_PAYS[:-1]}; --billing_project=PROJECT '
            'names the project that pays',
        ),
        (Refuse(403, b'<html>denied</html>'), 'The object store denied access, HTTP 403'),
        (
            _google_error(403, 'a\n\x1b[31mred', 'forbidden'),
            'The object store denied access, HTTP 403: a [31mred',
        ),
    ],
    ids=['permission', 'closed', 'requester_pays', 'plain_text', 'html', 'controls'],
)
def test_a_refusal_comes_with_the_sentence_of_the_store(
    action: str, fault: Refuse, message: str, through: Through
) -> None:
    through(lambda request: fault)
    with pytest.raises(OSError, match='The object store') as caught:
        ACTIONS[action]()
    assert caught.value.strerror == message


def test_a_billing_project_pays_for_every_request(
    through: Through, monkeypatch: pytest.MonkeyPatch
) -> None:
    def requester_pays(request: Request) -> Fault | None:
        query = parse_qs(urlsplit(request.path).query)
        unpaid = query.get('userProject') != ['payer-1'] and 'upload_id' not in query
        return _google_error(400, REQUESTER_PAYS, 'required') if unpaid else None

    through(requester_pays)
    monkeypatch.setenv('GS_BILLING_PROJECT', 'payer-1')
    storage.write_bytes('gs://shop/paid/a', DATA)
    storage.write_bytes('gs://shop/paid/b', IN_CHUNKS)
    assert storage.read_bytes('gs://shop/paid/a') == DATA
    assert storage.size('gs://shop/paid/a') == len(DATA)
    assert storage.list_files('gs://shop/paid') == ['a', 'b']
    assert storage.glob('gs://shop/paid/[a]*') == ['gs://shop/paid/a']
    with storage.open_reader('gs://shop/paid/a') as reader:
        assert reader.read_at(3, 4) == DATA[3:7]
    storage.rename('gs://shop/paid/a', 'gs://shop/paid/c')
    storage.delete('gs://shop/paid/c')
    storage.delete_folder('gs://shop/paid')
    assert storage.list_files('gs://shop/paid') == []
