"""A file that resumes: which bytes are kept, discarded or refused."""

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
    """Sets the time between commits; by default there are none."""

    def after(seconds: float) -> None:
        monkeypatch.setattr(resumable_file, 'COMMIT_SECONDS', seconds)

    after(math.inf)
    return after


@pytest.fixture
def interrupted(commit_after: Callable[[float], None], tmp_path: Path) -> Path:
    """The file of a run that is killed after its second write; only the first is committed."""
    path = tmp_path / 'out.csv'
    with ResumableFile(str(path), identity='a') as file:
        commit_after(0)
        file.write(b'one,', {'place': 1})
        commit_after(math.inf)
        file.write(b'tw', {'place': 2})
    return path


def test_a_run_resumes_after_the_committed_bytes(interrupted: Path) -> None:
    assert not interrupted.exists()
    assert interrupted.with_name('.partial-out.csv').read_bytes() == b'one,tw'

    with ResumableFile(str(interrupted), identity='a') as file:
        assert file.state == {'place': 1}
        file.write(b'two', {'place': 2})
        file.finish()

    assert interrupted.read_bytes() == b'one,two'
    assert list(interrupted.parent.iterdir()) == [interrupted]


@pytest.mark.usefixtures('commit_after')
def test_a_run_without_a_commit_starts_over(tmp_path: Path) -> None:
    with ResumableFile(str(tmp_path / 'out.csv'), identity='a') as file:
        file.write(b'lost', {'place': 1})
    with ResumableFile(str(tmp_path / 'out.csv'), identity='a') as file:
        assert file.state is None
        file.finish()
    assert (tmp_path / 'out.csv').read_bytes() == b''


def test_a_file_of_another_identity_is_refused_and_kept(interrupted: Path) -> None:
    with pytest.raises(UserError, match='was started with other inputs, models or options'):
        ResumableFile(str(interrupted), identity='b')
    assert interrupted.with_name('.partial-out.csv').read_bytes() == b'one,tw'


@pytest.mark.parametrize('left', [b'ONE,', b'on', b''], ids=['other bytes', 'cut', 'empty'])
def test_changed_bytes_are_refused(interrupted: Path, left: bytes) -> None:
    interrupted.with_name('.partial-out.csv').write_bytes(left)
    with pytest.raises(UserError, match='its first 4 bytes must be unchanged'):
        ResumableFile(str(interrupted), identity='a')


def test_deleting_removes_complete_and_incomplete_files(interrupted: Path) -> None:
    assert json.loads(interrupted.with_name('.progress-out.csv').read_bytes())['bytes'] == 4
    interrupted.write_bytes(b'old')
    resumable_file.delete_output(str(interrupted))
    assert list(interrupted.parent.iterdir()) == []
