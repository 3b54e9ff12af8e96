"""Local files: atomic writes, range reads, listings."""

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
