"""Training with data and workdir on `s3://`, in the environment of `make test-tfio`.

That environment has TensorFlow 2.17 and tensorflow-io; `TFIO_PYTHON` is its Python.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests import buckets

_ROOT = Path(__file__).parents[2]
_PYTHON = os.environ.get('TFIO_PYTHON', '')
_CHANGES = (
    'batch_size=16',
    'log_every_steps=2',
    'checkpoint_every_steps=2',
    'keep_checkpoints=2',
    'model.channels=4',
    'input.shuffle_records=40',
)

pytestmark = pytest.mark.skipif(not _PYTHON, reason='make test-tfio runs it')


def _run(module: str, *flags: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [_PYTHON, '-m', module, *flags],
        cwd=_ROOT,
        env={**os.environ, **environment, 'PYTHONPATH': str(_ROOT), 'TF_CPP_MIN_LOG_LEVEL': '2'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)


def _train(data: str, workdir: str, *, steps: int, environment: dict[str, str]) -> None:
    changes = [f'--config.{change}' for change in (*_CHANGES, f'total_steps={steps}')]
    flags = ['--config=configs/tiny.py', f'--data={data}', f'--workdir={workdir}', *changes]
    _run('trainer.task', *flags, environment=environment)


def test_a_run_on_s3_logs_and_resumes_like_one_on_a_disk(data_folder: str, tmp_path: Path) -> None:
    _train(data_folder, str(tmp_path / 'work'), steps=8, environment={})
    with buckets.running('s3://') as bucket:
        for path in Path(data_folder).iterdir():
            bucket.write(f'shards/{path.name}', path.read_bytes())
        environment = {
            **bucket.environment(bucket.url),
            'XDG_CACHE_HOME': str(tmp_path / 'cache'),
        }
        data, workdir = bucket.path('shards'), bucket.path('work')
        _train(data, workdir, steps=4, environment=environment)
        _train(data, workdir, steps=8, environment=environment)  # resumes
        metrics = bucket.read('work/metrics.jsonl') or b''
        assert metrics == (tmp_path / 'work' / 'metrics.jsonl').read_bytes()
        assert [json.loads(line)['step'] for line in metrics.splitlines()] == [2, 4, 6, 8]
        kept = {path.name for path in (tmp_path / 'work' / 'checkpoints').iterdir()}
        assert set(bucket.objects('work/checkpoints')) - {''} == kept
        copies = tmp_path / 'cache' / 'product-categories'
        assert not copies.exists()  # TensorFlow read the bucket itself
        report = f'--output={bucket.path("report")}'
        flags = [f'--workdir={workdir}', f'--data={data}', '--split=validation', report]
        _run('trainer.evaluate', *flags, environment=environment)
        _run(
            'trainer.evaluate',
            f'--workdir={tmp_path / "work"}',
            f'--data={data_folder}',
            f'--output={tmp_path / "report"}',
            environment={},
        )
        table = (tmp_path / 'report' / 'predictions.parquet').read_bytes()
        assert bucket.read('report/predictions.parquet') == table
