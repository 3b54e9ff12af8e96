"""Downloads from a server with Kaggle's API: resumed, unzipped, checked; loaded into MongoDB."""

import functools
import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import bson
import numpy as np
import pymongo
import pytest

from catalog.download import collection, kaggle, transfer
from catalog.errors import UserError
from catalog.sources import mongo_read
from tests import kaggle_server
from tests.kaggle_server import Kaggle
from tests.shop import CATEGORY_IDS, photo, product

DATA = np.random.default_rng(0).bytes(3 << 20)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kaggle]:
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    monkeypatch.setattr(transfer, 'FIRST_WAIT_SECONDS', 0.0)
    with kaggle_server.running({'train.bson': DATA}, monkeypatch) as server:
        yield server


def fetch(folder: Path, *, sha256: str = SHA256, name: str = 'train.bson') -> str:
    find_url = functools.partial(kaggle.find_url, 'shop-challenge', name)
    return transfer.fetch(name, folder, sha256=sha256, find_url=find_url)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_downloaded_once_and_then_only_checked(server: Kaggle, tmp_path: Path) -> None:
    assert fetch(tmp_path) == 'downloaded'
    assert (tmp_path / 'train.bson').read_bytes() == DATA
    assert names(tmp_path) == ['train.bson']
    assert fetch(tmp_path) == 'present'
    assert server.ranges == [None]


def test_a_cut_download_resumes_by_range(server: Kaggle, tmp_path: Path) -> None:
    server.cut = lambda offset: 2 << 20 if offset == 0 else None
    assert fetch(tmp_path) == 'downloaded'
    assert (tmp_path / 'train.bson').read_bytes() == DATA
    assert server.ranges == [None, f'bytes={2 << 20}-']


def test_a_download_that_was_killed_resumes_unless_the_file_has_changed(
    server: Kaggle, tmp_path: Path
) -> None:
    server.cut = lambda offset: 1 << 20 if offset == 0 else 0
    with pytest.raises(UserError, match=r'train.bson: the download failed 6 times in a row after'):
        fetch(tmp_path)
    assert names(tmp_path) == ['.partial-train.bson', '.partial-train.bson.tag']
    server.cut, server.tag = (lambda offset: None), '"2"'
    server.files['train.bson'] = changed = DATA[::-1]
    fetch(tmp_path, sha256=hashlib.sha256(changed).hexdigest())
    assert (tmp_path / 'train.bson').read_bytes() == changed


def test_a_file_that_kaggle_zips_is_unzipped(server: Kaggle, tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr('train.bson', DATA)
    server.files['train.bson'] = archive.getvalue()
    assert fetch(tmp_path) == 'downloaded'
    assert names(tmp_path) == ['train.bson']
    assert (tmp_path / 'train.bson').read_bytes() == DATA
    server.files['train.bson'] = archive.getvalue()[:-100]
    (tmp_path / 'train.bson').unlink()
    with pytest.raises(UserError, match=r'train.bson: Kaggle must send a valid zip archive'):
        fetch(tmp_path)
    assert names(tmp_path) == []


def test_a_file_with_another_digest_is_refused(server: Kaggle, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f'train.bson: must have the SHA-256 {"0" * 64}, got'):
        fetch(tmp_path, sha256='0' * 64)
    assert names(tmp_path) == []
    (tmp_path / 'train.bson').write_bytes(DATA[:-1])
    with pytest.raises(UserError, match='delete it to download it again'):
        fetch(tmp_path)
    assert (tmp_path / 'train.bson').read_bytes() == DATA[:-1]


@pytest.mark.parametrize(
    ('refusal', 'message'),
    [
        (401, 'train.bson: Kaggle must know you, but the credentials are missing or wrong'),
        (403, 'accept them once at https://www.kaggle.com/c/shop-challenge/rules'),
        (404, 'train.bson: must be a file of shop-challenge, got another name'),
        (500, 'train.bson: the download failed 6 times in a row after 0 bytes'),
    ],
)
def test_a_refusal_is_one_line(refusal: int, message: str, server: Kaggle, tmp_path: Path) -> None:
    server.refusal = refusal
    with pytest.raises(UserError, match=message) as caught:
        fetch(tmp_path)
    assert '\n' not in str(caught.value)
    assert names(tmp_path) == []


def test_without_credentials_kaggle_is_asked_and_its_refusal_is_one_line(
    server: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('KAGGLE_API_TOKEN')
    with pytest.raises(UserError, match='set KAGGLE_API_TOKEN'):
        fetch(tmp_path)


def test_a_collection_appears_with_every_document_of_a_file(
    mongodb_server: str, tmp_path: Path
) -> None:
    documents = [product(number, CATEGORY_IDS[0], [photo(number)]) for number in range(2500)]
    path = tmp_path / 'train.bson'
    path.write_bytes(b''.join(documents))
    address = mongo_read.parse_address(f'{mongodb_server}/shop.downloaded', flag='to')
    with pymongo.MongoClient(mongodb_server) as client:
        client.shop['downloaded.partial'].insert_one({'_id': 'of a load that was killed'})
        assert collection.load(path, address) == 2500
        assert [bson.encode(found) for found in client.shop.downloaded.find(sort=[('_id', 1)])] == (
            documents
        )
        assert 'downloaded.partial' not in client.shop.list_collection_names()
    with pytest.raises(UserError, match=r'shop.downloaded: must not exist yet, but it does'):
        collection.load(path, address)
