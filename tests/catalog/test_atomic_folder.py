"""Folders are published complete or not at all."""

from pathlib import Path

import pytest

from catalog import atomic_folder
from catalog.errors import UserError


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
