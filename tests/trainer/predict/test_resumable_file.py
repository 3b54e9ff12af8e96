"""A file that grows over several sittings: what counts, what is cut off, what is refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.errors import UserError
from trainer.predict import resumable_file
from trainer.predict.resumable_file import ResumableFile


@pytest.fixture
def commit_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets after how many seconds a commit is due; by default it never is."""

    def after(seconds: float) -> None:
        monkeypatch.setattr(resumable_file, 'COMMIT_SECONDS', seconds)

    after(math.inf)
    return after


@pytest.fixture
def begun(commit_after: Callable[[float], None], tmp_path: Path) -> Path:
    """The file of a sitting that is killed after its second write; the first one counts."""
    path = tmp_path / 'out.csv'
    with ResumableFile(str(path), identity='a') as file:
        commit_after(0)
        file.write(b'one,', {'place': 1})
        commit_after(math.inf)
        file.write(b'tw', {'place': 2})
    return path


def test_a_later_sitting_goes_on_after_the_bytes_that_count(begun: Path) -> None:
    assert not begun.exists()
    assert begun.with_name('.partial-out.csv').read_bytes() == b'one,tw'

    with ResumableFile(str(begun), identity='a') as file:
        assert file.state == {'place': 1}
        file.write(b'two', {'place': 2})
        file.finish()

    assert begun.read_bytes() == b'one,two'
    assert list(begun.parent.iterdir()) == [begun]


@pytest.mark.usefixtures('commit_after')
def test_before_the_first_commit_it_begins_anew(tmp_path: Path) -> None:
    with ResumableFile(str(tmp_path / 'out.csv'), identity='a') as file:
        file.write(b'lost', {'place': 1})
    with ResumableFile(str(tmp_path / 'out.csv'), identity='a') as file:
        assert file.state is None
        file.finish()
    assert (tmp_path / 'out.csv').read_bytes() == b''


def test_what_was_begun_for_something_else_is_refused_and_kept(begun: Path) -> None:
    with pytest.raises(UserError, match='was begun with other inputs, models or options'):
        ResumableFile(str(begun), identity='b')
    assert begun.with_name('.partial-out.csv').read_bytes() == b'one,tw'


@pytest.mark.parametrize('left', [b'ONE,', b'on', b''], ids=['other bytes', 'cut', 'empty'])
def test_bytes_that_are_not_those_that_were_written_are_refused(begun: Path, left: bytes) -> None:
    begun.with_name('.partial-out.csv').write_bytes(left)
    with pytest.raises(UserError, match='its first 4 bytes must be those that were written'):
        ResumableFile(str(begun), identity='a')


def test_overwriting_leaves_nothing(begun: Path) -> None:
    assert json.loads(begun.with_name('.progress-out.csv').read_bytes())['bytes'] == 4
    begun.write_bytes(b'old')
    resumable_file.prepare(str(begun), overwrite=True)
    assert list(begun.parent.iterdir()) == []
