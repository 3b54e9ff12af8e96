"""A file that grows over several sittings: what counts, what is cut off, what is refused."""

import json
import time
from pathlib import Path

import pytest

from catalog.errors import UserError
from trainer import resumable_file
from trainer.resumable_file import ResumableFile


def _begin(path: Path, *, identity: str = 'a') -> None:
    """A sitting that is killed after its second write; the first one counts."""
    with ResumableFile(str(path), identity=identity) as file:
        time.sleep(1.1)  # a commit is due
        file.write(b'one,', {'place': 1})
        file.write(b'tw', {'place': 2})


def test_a_later_sitting_goes_on_after_the_bytes_that_count(tmp_path: Path) -> None:
    path = tmp_path / 'out.csv'
    _begin(path)
    assert not path.exists()
    assert (tmp_path / '.partial-out.csv').read_bytes() == b'one,tw'

    with ResumableFile(str(path), identity='a') as file:
        assert file.state == {'place': 1}
        file.write(b'two', {'place': 2})
        file.finish()

    assert path.read_bytes() == b'one,two'
    assert [p.name for p in tmp_path.iterdir()] == ['out.csv']


def test_before_the_first_commit_it_begins_anew(tmp_path: Path) -> None:
    with ResumableFile(str(tmp_path / 'out.csv'), identity='a') as file:
        file.write(b'lost', {'place': 1})
    with ResumableFile(str(tmp_path / 'out.csv'), identity='a') as file:
        assert file.state is None
        file.finish()
    assert (tmp_path / 'out.csv').read_bytes() == b''


def test_what_was_begun_for_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    _begin(tmp_path / 'out.csv')
    with pytest.raises(UserError, match='was begun with other inputs, models or options'):
        ResumableFile(str(tmp_path / 'out.csv'), identity='b')
    assert (tmp_path / '.partial-out.csv').read_bytes() == b'one,tw'


@pytest.mark.parametrize('left', [b'ONE,', b'on', b''], ids=['other bytes', 'cut', 'empty'])
def test_bytes_that_are_not_those_that_were_written_are_refused(
    tmp_path: Path, left: bytes
) -> None:
    _begin(tmp_path / 'out.csv')
    (tmp_path / '.partial-out.csv').write_bytes(left)
    with pytest.raises(UserError, match='its first 4 bytes must be those that were written'):
        ResumableFile(str(tmp_path / 'out.csv'), identity='a')


def test_overwriting_leaves_nothing(tmp_path: Path) -> None:
    _begin(tmp_path / 'out.csv')
    assert json.loads((tmp_path / '.progress-out.csv').read_bytes())['bytes'] == 4
    (tmp_path / 'out.csv').write_bytes(b'old')
    resumable_file.prepare(str(tmp_path / 'out.csv'), overwrite=True)
    assert list(tmp_path.iterdir()) == []
