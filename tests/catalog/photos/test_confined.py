"""Only regular files below their root are read, up to a size."""

import os
import socket
from pathlib import Path

import pytest

from catalog.formats.image_header import BadPicture
from catalog.photos import confined
from catalog.photos.confined import Rules


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of photos beside a secret."""
    (tmp_path / 'secret').write_bytes(b'secret')
    (tmp_path / 'photos2').mkdir()
    (tmp_path / 'photos2' / 'other.jpg').write_bytes(b'other')
    root = tmp_path / 'photos'
    (root / 'a' / 'b').mkdir(parents=True)
    (root / 'a' / 'b' / 'fine.jpg').write_bytes(b'fine')
    return root


def reason(root: Path, name: str, rules: Rules | None = None) -> str:
    with pytest.raises(BadPicture) as caught:
        confined.read_photo(str(root), name, rules or Rules())
    return caught.value.reason


def test_files_below_the_root_are_read_by_any_path(root: Path) -> None:
    (root / 'link.jpg').symlink_to('a/b/fine.jpg')
    (root / 'folder').symlink_to(root / 'a')
    names = ['a/b/fine.jpg', './a//b/fine.jpg', 'a/../a/b/fine.jpg', 'link.jpg']
    for name in [*names, 'folder/b/fine.jpg', str(root / 'a' / 'b' / 'fine.jpg')]:
        assert confined.read_photo(str(root), name, Rules()) == b'fine', name


def test_files_outside_of_the_root_are_read_only_if_allowed(root: Path) -> None:
    (root / 'link.jpg').symlink_to(root.parent / 'secret')
    (root / 'folder').symlink_to('..')
    secrets = ['../secret', 'a/../../secret', 'link.jpg', 'folder/secret']
    for name in [*secrets, str(root.parent / 'secret')]:
        assert reason(root, name) == 'outside', name
        assert confined.read_photo(str(root), name, Rules(allow_outside=True)) == b'secret', name
    assert reason(root, '../photos2/other.jpg') == 'outside'
    assert reason(root, 'gs://bucket/photo.jpg') == 'outside'
    with pytest.raises(BadPicture) as caught:
        confined.read_photo('gs://bucket/photos', '/etc/passwd', Rules())
    assert caught.value.reason == 'outside'
    assert str(caught.value) == 'must be below gs://bucket/photos; --allow_outside permits others'


def test_what_is_not_a_file_is_rejected_at_once(root: Path) -> None:
    os.mkfifo(root / 'fifo.jpg')
    (root / 'loop.jpg').symlink_to('loop.jpg')
    (root / 'broken.jpg').symlink_to('gone.jpg')
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / 'socket.jpg'))
        for allow_outside in (False, True):
            rules = Rules(allow_outside=allow_outside)
            for name in ('fifo.jpg', 'socket.jpg', 'loop.jpg', 'a'):
                assert reason(root, name, rules) == 'not_a_file', name
            for name in ('broken.jpg', 'gone.jpg', 'a/b/fine.jpg/x', 'x' * 300, 'a\0b'):
                assert reason(root, name, rules) == 'missing', name
    assert reason(root, '/dev/zero', Rules(allow_outside=True)) == 'not_a_file'


def test_a_large_file_is_rejected_by_its_size(root: Path) -> None:
    with (root / 'x.jpg').open('wb') as file:
        file.truncate(50 << 30)  # sparse
    assert reason(root, 'x.jpg') == 'too_many_bytes'
    assert reason(root, 'a/b/fine.jpg', Rules(max_picture_mb=3e-6)) == 'too_many_bytes'
    assert confined.read_photo(str(root), 'a/b/fine.jpg', Rules(max_picture_mb=4e-6)) == b'fine'


def test_a_folder_that_becomes_a_link_is_not_followed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link is planted when the path was resolved, before the file is opened."""
    (root / 'link').symlink_to('a')
    resolve = os.path.realpath

    def resolve_and_plant(path: str) -> str:
        found = resolve(path)
        if 'fine' in found and not (root / 'moved').exists():
            (root / 'a' / 'b').rename(root / 'moved')
            (root.parent / 'fine.jpg').write_bytes(b'secret')
            (root / 'a' / 'b').symlink_to(root.parent)
        return found

    monkeypatch.setattr(os.path, 'realpath', resolve_and_plant)
    assert reason(root, 'link/b/fine.jpg') in ('outside', 'missing', 'not_a_file')
    assert (root / 'moved').exists()
