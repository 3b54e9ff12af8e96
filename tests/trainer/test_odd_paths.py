"""Folders whose names TensorFlow would take for patterns."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import UserError
from catalog.model_folders import literal_path
from catalog.samples import dump
from tests.trainer.conftest import jpeg
from trainer.workdir import checkpoint

ROOT = Path(__file__).parents[2]
ODD = 'a [b] *c, é'
FLAGS = (
    '--config=configs/tiny.py',
    '--config.batch_size=16',
    '--config.log_every_steps=2',
    '--config.checkpoint_every_steps=2',
    '--config.model.channels=2',
    '--config.validation.every_steps=4',
)


def _run(module: str, *flags: str) -> 'subprocess.CompletedProcess[str]':
    environment = {**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '2'}
    return subprocess.run(
        [sys.executable, '-m', f'trainer.{module}', *flags],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_command_works_in_a_folder_with_wildcards(data_folder: str, tmp_path: Path) -> None:
    odd = tmp_path / ODD
    data, workdir, report = f'{odd}/data', f'{odd}/run', f'{odd}/run/report'
    shutil.copytree(data_folder, data)
    # What the name matches as a pattern must not be read instead.
    (tmp_path / 'a b xc, é').mkdir()

    for steps in (4, 8):
        flags = (*FLAGS, f'--config.total_steps={steps}', f'--data={data}', f'--workdir={workdir}')
        done = _run('task', *flags)
        assert done.returncode == 0, done.stderr
        assert 'damaged' not in done.stderr
    assert checkpoint.steps(workdir) == [8, 6, 4]
    logged = (odd / 'run' / 'metrics.jsonl').read_text().splitlines()
    assert [json.loads(line)['step'] for line in logged] == [2, 4, 6, 8]

    done = _run('evaluate', f'--workdir={workdir}', f'--data={data}', f'--output={report}')
    assert done.returncode == 0, done.stderr

    done = _run('export', f'--workdir={workdir}', f'--output={odd}/model/1')
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f'error: {odd}/model/1: --output must have none of the characters *?[]\\ in its path, '
        'because TensorFlow cannot load a model from there; choose another folder'
    )
    assert not (odd / 'model').exists()
    model = tmp_path / 'model, é' / '1'
    done = _run('export', f'--workdir={workdir}', f'--output={model}')
    assert done.returncode == 0, done.stderr
    moved = shutil.copytree(model, odd / 'moved' / '1')

    products = odd / 'test [0].bson'
    pictures = [jpeg(np.random.default_rng(0), label=0)]
    products.write_bytes(dump.document(7, pictures=pictures))
    for folder, name in [(model, 'a'), (moved, 'b')]:
        output = odd / f'{name}.csv'
        flags = (f'--model={folder}', f'--input={products}', f'--output={output}')
        done = _run('predict', *flags)
        assert done.returncode == 0, done.stderr
    assert (odd / 'a.csv').read_text() == (odd / 'b.csv').read_text()
    assert (odd / 'a.csv').read_text().splitlines()[1].startswith('7,')


def test_a_workdir_with_wildcards_on_an_object_store_is_refused_by_name() -> None:
    literal_path.check_readable('gs://shop/run, é')
    with pytest.raises(UserError, match=r'gs://shop/run \[1\]: must have none of the characters'):
        literal_path.check_readable('gs://shop/run [1]')
