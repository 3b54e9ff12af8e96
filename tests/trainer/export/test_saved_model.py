"""The version folder: its files, and that it appears complete."""

import hashlib
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from catalog.digests import folder as digests
from catalog.digests.keys import read_public_key
from catalog.errors import UserError
from tests.keys import key_pair
from trainer.export import saved_model


def test_every_file_has_its_digest(exported: Path) -> None:
    listed = json.loads((exported / 'digests.json').read_text())['sha256']
    files = {path for path in exported.rglob('*') if path.is_file()} - {exported / 'digests.json'}
    assert listed == {
        path.relative_to(exported).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    assert {'saved_model.pb', 'model_card.json', 'assets/category_names.csv'} <= set(listed)


def test_the_category_tree_is_an_asset_byte_for_byte(exported: Path, data_folder: str) -> None:
    asset = (exported / 'assets' / 'category_names.csv').read_bytes()
    assert asset == Path(data_folder, 'category_names.csv').read_bytes()


def test_an_existing_version_is_not_overwritten(exported: Path, workdir: str) -> None:
    before = digests.compute(str(exported))
    with pytest.raises(UserError, match='must not exist yet'):
        saved_model.export(workdir=workdir, output=str(exported), top_k=5, threshold=0.5)
    assert digests.compute(str(exported)) == before
    assert os.listdir(exported.parent) == ['3']


def test_a_failure_after_the_model_is_written_leaves_nothing(workdir: str, tmp_path: Path) -> None:
    broken = tmp_path / 'workdir'
    shutil.copytree(workdir, broken)
    (broken / 'report').mkdir()
    (broken / 'report' / 'evaluation.json').write_text('{"accuracy": 0.7')  # truncated
    output = tmp_path / 'models' / 'clothes' / '1'
    with pytest.raises(UserError, match=r'evaluation\.json: must be JSON'):
        saved_model.export(workdir=str(broken), output=str(output), top_k=5, threshold=0.5)
    assert os.listdir(output.parent) == []


def test_a_server_that_watches_the_folder_never_sees_an_incomplete_version(
    workdir: str, tmp_path: Path
) -> None:
    output = tmp_path / 'clothes' / '7'
    private, public = key_pair(tmp_path)
    seen, names, done = [], set(), threading.Event()

    def watch() -> None:
        while not done.is_set():
            if output.parent.exists():
                names.update(os.listdir(output.parent))
            if output.exists():
                listed = json.loads((output / 'digests.json').read_text())['sha256']
                seen.append(listed == digests.compute(str(output)))
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        saved_model.export(
            workdir=workdir, output=str(output), top_k=5, threshold=0.5, signing_key=private
        )
    finally:
        watcher.join(timeout=30)
        done.set()
    assert seen == [True]  # complete when it appears
    assert digests.verify(str(output), key=read_public_key(str(public))) == 'signed'
    (temporary,) = names - {'7'}
    assert not temporary.isdecimal()  # not a version to TensorFlow Serving


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'output': 'clothes/latest'}, 'must be DIR/MODEL/VERSION with an integer version'),
        ({'output': '5'}, 'must be DIR/MODEL/VERSION'),
        ({'top_k': 0}, '--top_k must be at least 1, got 0'),
        ({'threshold': 1.5}, r'--threshold must be in \[0, 1\], got 1.5'),
        ({'workdir': '/nowhere'}, '/nowhere: a workdir must have a config.json'),
    ],
)
def test_invalid_arguments_are_errors(
    workdir: str, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    arguments = {
        'workdir': workdir,
        'output': str(tmp_path / 'clothes' / '1'),
        'top_k': 5,
        'threshold': 0.5,
    }
    with pytest.raises(UserError, match=message):
        saved_model.export(**{**arguments, **change})
    assert [path for path in tmp_path.rglob('*') if path.is_file()] == []
