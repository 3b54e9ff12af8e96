"""Folders are listed without clutter; links lead neither outside nor in circles."""

from pathlib import Path

from catalog.photos import folder_contents
from catalog.photos.folder_contents import Contents
from tests.shop import write_photo


def test_clutter_is_passed_over(tmp_path: Path) -> None:
    names = [
        'Thumbs.db', 'a/desktop.ini', '.DS_Store', 'a/._1.jpg', '__MACOSX/a/1.jpg', '@eaDir/1.jpg',
        'a/1.jpg', 'a/notes.TXT',
    ]  # fmt: skip
    for name in names:
        write_photo(tmp_path, name, b'x')
    assert folder_contents.contents_below(str(tmp_path)) == Contents(['a/1.jpg'], 7)
    assert folder_contents.contents_of(str(tmp_path)) == Contents([], 4)
    assert folder_contents.folders_in(str(tmp_path)) == ['a']


def test_linked_folders_are_followed_once_and_only_inside(tmp_path: Path) -> None:
    root, outside = tmp_path / 'root', tmp_path / 'outside'
    write_photo(root, 'a/1.jpg', b'x')
    write_photo(outside, 'secret.jpg', b'x')
    (root / 'twin').symlink_to('a')
    write_photo(root, 'b/2.jpg', b'x')
    (root / 'a' / 'other').symlink_to('../b')
    (root / 'a' / 'up').symlink_to('..')
    (root / 'out').symlink_to(outside)
    # Not followed: `a/up` is in the folder it leads to, and `twin` is a linked folder. As files
    # they are rejected by name when they are read.
    found = ['a/1.jpg', 'a/other/2.jpg', 'a/up', 'b/2.jpg', 'out']
    found += ['twin/1.jpg', 'twin/other', 'twin/up']
    assert folder_contents.contents_below(str(root)).files == found
    allowed = folder_contents.contents_below(str(root), allow_outside=True).files
    assert sorted({*found, 'out/secret.jpg'} - {'out'}) == allowed


def test_a_link_to_itself_is_a_file_that_is_rejected_when_it_is_read(tmp_path: Path) -> None:
    write_photo(tmp_path, 'a/1.jpg', b'x')
    (tmp_path / 'a' / 'loop').symlink_to('loop')
    assert folder_contents.contents_below(str(tmp_path)).files == ['a/1.jpg', 'a/loop']
    assert folder_contents.contents_of(f'{tmp_path}/a').files == ['1.jpg', 'loop']
    assert folder_contents.folders_in(f'{tmp_path}/a') == []
