"""Local files: atomic writes, range reads, listings."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog import storage
from catalog.errors import UserError


def test_a_file_becomes_visible_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'file'
    with storage.write_atomic(str(path)) as file:
        file.write(b'data')
        assert not path.exists()
    assert path.read_bytes() == b'data'


def test_a_failed_write_leaves_only_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / 'file'
    path.write_bytes(b'old')
    with pytest.raises(TypeError), storage.write_atomic(str(path)) as file:
        file.write('text instead of bytes')
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]


def test_ranges_are_read_up_to_the_end_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / 'file'
    path.write_bytes(b'0123456789')
    with storage.open_reader(str(path)) as reader:
        assert reader.read_at(2, 3) == b'234'
        assert reader.read_at(8, 100) == b'89'
        assert reader.read_at(10, 1) == b''


def test_a_fifo_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'train.bson')
    with (
        pytest.raises(UserError, match=r'train\.bson: must be a file, got a FIFO or device'),
        storage.open_reader(f'{tmp_path}/train.bson'),
    ):
        pass


def test_an_existing_folder_in_a_pattern_is_text(tmp_path: Path) -> None:
    for name in ('photos [1]', 'photos 1'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'a.bson').touch()
    assert storage.glob(f'{tmp_path}/photos [1]/*.bson') == [f'{tmp_path}/photos [1]/a.bson']
    assert storage.glob(f'{tmp_path}/photos [12]/*.bson') == [f'{tmp_path}/photos 1/a.bson']


def test_patterns_and_folders_are_listed_in_order(tmp_path: Path) -> None:
    for name in ('b.bson', 'a.bson', 'c.txt'):
        (tmp_path / name).touch()
    (tmp_path / 'folder').mkdir()
    assert storage.glob(f'{tmp_path}/*.bson') == [f'{tmp_path}/a.bson', f'{tmp_path}/b.bson']
    assert storage.glob(f'{tmp_path}/none.bson') == []
    assert storage.list_files(str(tmp_path)) == ['a.bson', 'b.bson', 'c.txt']
    assert storage.list_files(f'{tmp_path}/none') == []


def test_an_object_without_a_name_is_an_error() -> None:
    with pytest.raises(UserError, match='an object must be named gs://BUCKET/NAME'):
        storage.exists('gs://bucket')


def test_planted_links_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim, target = tmp_path / 'victim', tmp_path / 'file'
    victim.write_bytes(b'precious')
    target.symlink_to(victim)
    storage.write_bytes(str(target), b'new')
    assert target.read_bytes() == b'new'
    assert not target.is_symlink()
    # Even where the random name is known, an existing link is an error.
    monkeypatch.setattr(storage, 'temporary_name', lambda name: f'.partial-{name}')
    (tmp_path / '.partial-file').symlink_to(victim)
    with pytest.raises(FileExistsError):
        storage.write_bytes(str(target), b'newer')
    assert victim.read_bytes() == b'precious'


def test_temporary_names_cannot_be_predicted(tmp_path: Path) -> None:
    names = set()
    for _ in range(10):
        with storage.write_atomic(str(tmp_path / 'file')):
            names |= {path.name for path in tmp_path.iterdir() if path.name != 'file'}
    assert len(names) == 10
    assert all(storage.is_temporary(name) for name in names)


def test_private_files_and_folders_are_for_their_owner(tmp_path: Path) -> None:
    storage.write_bytes(str(tmp_path / 'file'), b'', private=True)
    (tmp_path / 'open').mkdir(mode=0o755)
    for name in ('a/folder', 'open'):
        storage.make_private_folder(str(tmp_path / name))
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
    assert (tmp_path / 'file').stat().st_mode & 0o777 == 0o600
    (tmp_path / 'link').symlink_to('open')
    with pytest.raises(UserError, match='must be a folder, got a link or a file'):
        storage.make_private_folder(str(tmp_path / 'link'))


def test_a_link_to_a_folder_is_deleted_without_its_contents(tmp_path: Path) -> None:
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'folder' / 'file').touch()
    (tmp_path / 'link').symlink_to('folder')
    storage.delete_folder(str(tmp_path / 'link'))
    assert [path.name for path in tmp_path.rglob('*')] == ['folder', 'file']


def test_a_file_in_the_place_of_a_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / 'README.md').touch()
    for path in (tmp_path / 'README.md' / 'x', tmp_path / 'README.md' / 'a' / 'x'):
        with pytest.raises(UserError, match=r'README\.md.*: must be a folder, got a file'):
            storage.write_bytes(str(path), b'')


@pytest.mark.parametrize(
    'use',
    [
        storage.exists,
        storage.read_bytes,
        storage.size,
        storage.list_files,
        storage.delete_folder,
        lambda path: storage.glob(f'{path}*'),
        lambda path: storage.write_bytes(path, b''),
        lambda path: storage.make_folder(path),
        lambda path: storage.rename(path, path),
    ],
)
def test_an_unknown_scheme_is_never_a_local_folder(
    use: Callable[[str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"or begin with gs:// or s3:// or az://, got 's3a://'"):
        use('s3a://shop/x')
    assert not list(tmp_path.iterdir())


def test_a_scheme_whose_library_is_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'obstore', None)
    with pytest.raises(UserError, match=r"s3://b/x: needs the package obstore; .*'\.\[buckets\]'"):
        storage.checked_path('s3://b/x')
    assert storage.checked_path('gs://b/x') == 'gs://b/x'
