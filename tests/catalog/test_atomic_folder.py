"""Folders are published complete or not at all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import atomic_folder
from catalog.errors import UserError
from catalog.stores import limits
from tests import buckets, gcs_emulator
from tests.buckets import Bucket
from tests.gcs_emulator import CutUpload, Fault, Refuse, Request


def test_a_folder_becomes_visible_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / 'models' / '1'
    with atomic_folder.create(str(target)) as partial:
        (partial / 'file').write_text('data')
        assert not target.exists()
    assert (target / 'file').read_text() == 'data'
    assert list(target.parent.iterdir()) == [target]


def test_a_failed_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_folder.create(str(tmp_path / '1')):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match='must not exist yet, but it does'),
        atomic_folder.create(str(tmp_path)),
    ):
        pass
    target = tmp_path / '1'
    with (
        pytest.raises(UserError, match='must not exist yet, but it does'),
        atomic_folder.create(str(target)),
    ):
        (target / 'other').mkdir(parents=True)
    assert [path.name for path in target.iterdir()] == ['other']


def test_only_a_folder_of_known_files_is_replaced(tmp_path: Path) -> None:
    target, files = tmp_path / 'report', frozenset({'page.html'})
    for text in ('old', 'new'):
        with atomic_folder.replace(str(target), files=files) as partial:
            (partial / 'page.html').write_text(text)
    assert (target / 'page.html').read_text() == 'new'
    (target / 'notes.txt').touch()
    with (
        pytest.raises(UserError, match=r'contain only page\.html, got notes\.txt'),
        atomic_folder.replace(str(target), files=files),
    ):
        pass
    assert (target / 'notes.txt').exists()
    assert list(tmp_path.iterdir()) == [target]


def test_an_object_store_is_an_error() -> None:
    with (
        pytest.raises(UserError, match='must be a local folder'),
        atomic_folder.create('gs://bucket/models/1'),
    ):
        pass


def test_planted_links_are_not_followed(tmp_path: Path) -> None:
    elsewhere, target = tmp_path / 'elsewhere', tmp_path / 'report'
    elsewhere.mkdir()
    target.symlink_to(elsewhere)
    with (
        pytest.raises(UserError, match='must not exist yet'),
        atomic_folder.create(str(target)),
    ):
        pass
    with (
        pytest.raises(UserError, match='must be a folder, got a file or a link'),
        atomic_folder.replace(str(target), files=frozenset()),
    ):
        pass
    assert list(elsewhere.iterdir()) == []


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setattr(limits, 'FIRST_WAIT_SECONDS', 0.05)
    monkeypatch.setattr(limits, 'RETRY_SECONDS', 0.5)
    with buckets.running('s3://') as bucket:
        for name, value in bucket.environment(bucket.url).items():
            monkeypatch.setenv(name, value)
        yield bucket


def test_in_a_bucket_the_file_that_makes_a_folder_complete_comes_last_or_nothing_does(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: str, *, last: str = 'z.json') -> None:
        with atomic_folder.create(path, last=last) as partial:
            (partial / 'assets').mkdir()
            (partial / 'assets' / 'b').write_bytes(b'2')
            (partial / 'z.json').write_bytes(b'3')
            (partial / 'a').write_bytes(b'1')

    complete = {'assets/b': b'2', 'z.json': b'3', 'a': b'1'}
    for fault in (None, Refuse(503), CutUpload(0)):

        def last_file(request: Request, fault: Fault | None = fault) -> Fault | None:
            return fault if request.uploads and request.path.endswith('z.json') else None

        with gcs_emulator.running_proxy(bucket.url, last_file) as proxy:
            monkeypatch.setenv('AWS_ENDPOINT_URL', proxy.url)
            if fault is None:
                write(bucket.path('m/1'))
                uploaded = [r.path for r in proxy.log.requests if r.uploads]
                assert uploaded[-1] == '/shop/m/1/z.json'
                with pytest.raises(UserError, match=r's3://shop/m/1: must not exist yet'):
                    write(bucket.path('m/1'))
            else:
                with pytest.raises(OSError, match='The object store failed'):
                    write(bucket.path('m/2'))
    assert bucket.objects('m') == {f'1/{name}': data for name, data in complete.items()}


def test_in_a_bucket_a_folder_of_known_files_is_replaced(bucket: Bucket) -> None:
    files = frozenset({'report.json', 'old.html', 'new.html'})
    for name in ('old.html', 'new.html'):
        with atomic_folder.replace(bucket.path('r'), files=files, last='report.json') as partial:
            (partial / name).write_bytes(name.encode())
            (partial / 'report.json').write_bytes(b'{}')
    assert bucket.objects('r') == {'new.html': b'new.html', 'report.json': b'{}'}
    bucket.write('r/mine.txt', b'precious')
    with (
        pytest.raises(UserError, match=r's3://shop/r: must be new, or contain only .*mine.txt'),
        atomic_folder.replace(bucket.path('r'), files=files, last='report.json'),
    ):
        pass
    assert bucket.read('r/mine.txt') == b'precious'
