"""A run whose shards and workdir are on an object store."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import gcs_emulator, gcs_tls
from trainer.config import files
from trainer.data.data_set import open_data_set
from trainer.training.loop import train

_ROOT = Path(__file__).parents[3]
_CONFIG = 'configs/tiny.py'
_CHANGES = (
    'batch_size=16',
    'total_steps=16',
    'log_every_steps=4',
    'checkpoint_every_steps=4',
    'keep_checkpoints=2',
    'model.channels=4',
    'input.shuffle_records=40',
    'validation.every_steps=8',
)


@pytest.fixture(scope='module')
def environment(
    data_folder: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    with (
        gcs_emulator.running_store() as url,
        gcs_tls.running_tls_proxy(url, tmp_path_factory.mktemp('tls')) as way,
    ):
        bucket = gcs_emulator.client(url).create_bucket('shop')
        for path in Path(data_folder).iterdir():
            bucket.blob(f'shards/{path.name}').upload_from_filename(str(path))
        yield {**os.environ, **way, 'TF_CPP_MIN_LOG_LEVEL': '2'}


def _train(data: str, workdir: str, environment: dict[str, str], *more: str) -> None:
    flags = [f'--config={_CONFIG}', *(f'--config.{change}' for change in (*_CHANGES, *more))]
    done = subprocess.run(
        [sys.executable, '-m', 'trainer.task', f'--data={data}', f'--workdir={workdir}', *flags],
        env=environment,
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_run_on_an_object_store_logs_the_same_metrics_as_on_a_disk(
    environment: dict[str, str], data_folder: str, tmp_path: Path
) -> None:
    train(files.load(_CONFIG, _CHANGES), open_data_set(data_folder), str(tmp_path))
    _train('gs://shop/shards', 'gs://shop/run', environment, 'total_steps=8')
    _train('gs://shop/shards', 'gs://shop/run', environment)  # resumes
    store = gcs_emulator.client(environment['STORAGE_EMULATOR_HOST']).bucket('shop')
    actual = store.blob('run/metrics.jsonl').download_as_bytes()
    assert actual == (tmp_path / 'metrics.jsonl').read_bytes()
    assert [json.loads(line)['step'] for line in actual.splitlines()] == [4, 8, 12, 16]
    folder = 'run/checkpoints/'
    kept = {blob.name.removeprefix(folder) for blob in store.list_blobs(prefix=folder)} - {''}
    assert kept == {path.name for path in (tmp_path / 'checkpoints').iterdir()}
