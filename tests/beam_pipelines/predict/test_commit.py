"""Staged files get their final names, and `predictions.json` is written last."""

import json
from pathlib import Path

import pytest

from beam_pipelines.predict import commit
from catalog.errors import UserError
from tests.beam_pipelines.running import files

NAMES = ['predictions-00000-of-00002.csv', 'predictions-00001-of-00002.csv']
DOCUMENT = {'files': [{'file': name} for name in NAMES]}


def stage(output: Path) -> None:
    (output / '_staging').mkdir(parents=True)
    for name in [*NAMES, 'rejected.jsonl']:
        (output / '_staging' / name).write_text(name)


def finish(output: Path) -> None:
    commit.commit(str(output), DOCUMENT, schema=b'[]', staged_rejected=['rejected.jsonl'])


def test_a_commit_replaces_old_files_and_may_run_twice(tmp_path: Path) -> None:
    stage(tmp_path)
    for name in ('predictions-00000-of-00001.parquet', 'rejected.zip'):
        folder = tmp_path / 'rejected' if name == 'rejected.zip' else tmp_path
        folder.mkdir(exist_ok=True)
        (folder / name).write_text('old')
    (tmp_path / 'notes.txt').write_text('of the owner')
    for _ in range(2):
        finish(tmp_path)
        assert files(tmp_path) == {
            'notes.txt': b'of the owner',
            NAMES[0]: NAMES[0].encode(),
            NAMES[1]: NAMES[1].encode(),
            'predictions.json': json.dumps(DOCUMENT, indent=1).encode() + b'\n',
            'rejected/rejected.jsonl': b'rejected.jsonl',
            'schema.json': b'[]',
        }


def test_a_deleted_staged_file_is_an_error_before_anything_changes(tmp_path: Path) -> None:
    stage(tmp_path)
    (tmp_path / '_staging' / NAMES[1]).unlink()
    (tmp_path / 'predictions.json').write_text('old')
    with pytest.raises(UserError, match=f'{NAMES[1]}: was deleted before it was complete; run'):
        finish(tmp_path)
    assert (tmp_path / 'predictions.json').read_text() == 'old'
    assert not (tmp_path / NAMES[0]).exists()


@pytest.mark.parametrize('name', ['schema.json', 'rejected', NAMES[0]])
def test_files_of_someone_else_are_not_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=f'contains {name}, which would be replaced; use another'):
        commit.prepare(str(tmp_path), overwrite=False)
    commit.prepare(str(tmp_path), overwrite=True)
