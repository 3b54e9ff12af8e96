"""What only Google's store has: checksums, its refusals, and buckets whose requester pays."""

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from catalog import storage
from catalog.stores import limits
from tests import gcs_emulator
from tests.gcs_emulator import Fault, FlipDownload, Proxies, Refuse, Request

DATA = np.random.default_rng(0).bytes(3 << 20)
IN_CHUNKS = np.random.default_rng(1).bytes((32 << 20) + 1000)  # more than one request's worth


@pytest.fixture(scope='module')
def store() -> Iterator[str]:
    with gcs_emulator.running_store() as url:
        bucket = gcs_emulator.client(url).create_bucket('shop')
        bucket.blob('here').upload_from_string(DATA)
        yield url


@pytest.fixture
def through(store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxies]:
    """Starts a proxy to the store that injects a fault, and makes clients use it."""
    monkeypatch.setattr(limits, 'FIRST_WAIT_SECONDS', 0.05)
    with gcs_emulator.proxies(store, monkeypatch) as start:
        yield start


def test_a_download_with_a_wrong_checksum_is_an_error(
    through: Proxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, 'RETRY_SECONDS', 1.0)
    through(gcs_emulator.first(1000, FlipDownload(at=1000), lambda request: request.reads_media))
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
    action: str, fault: Refuse, message: str, through: Proxies
) -> None:
    through(lambda request: fault)
    with pytest.raises(OSError, match='The object store') as caught:
        ACTIONS[action]()
    assert caught.value.strerror == message


def test_a_billing_project_pays_for_every_request(
    through: Proxies, monkeypatch: pytest.MonkeyPatch
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
