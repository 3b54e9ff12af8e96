"""One training at a time owns a workdir; one that was killed owns it no more."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog import storage
from tests import gcs_emulator, gcs_tls
from trainer.workdir import checkpoint, metrics_file

ROOT = Path(__file__).parents[3]
FLAGS = (
    '--config=configs/tiny.py',
    '--config.batch_size=16',
    '--config.log_every_steps=5',
    '--config.checkpoint_every_steps=5',
    '--config.keep_checkpoints=2',
    '--config.model.channels=2',
    '--config.input.shuffle_records=40',
)
DEADLINE_SECONDS = 300

Command = Callable[..., list[str]]


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with (
        gcs_emulator.running_store() as url,
        gcs_tls.running_tls_proxy(url, tmp_path_factory.mktemp('tls')) as way,
    ):
        gcs_emulator.client(url).create_bucket('shop')
        yield {**os.environ, **way, 'TF_CPP_MIN_LOG_LEVEL': '2'}


def _command(data: str, workdir: str, *, steps: int) -> list[str]:
    task = [sys.executable, '-m', 'trainer.task', f'--data={data}', f'--workdir={workdir}']
    return [*task, *FLAGS, f'--config.total_steps={steps}']


@pytest.mark.parametrize('workdir', ['local', 'gs://shop/run'])
def test_a_second_training_is_refused_until_the_first_is_killed(
    data_folder: str,
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workdir: str,
) -> None:
    workdir = workdir if storage.is_remote(workdir) else str(tmp_path / workdir)
    monkeypatch.setenv('STORAGE_EMULATOR_HOST', environment['STORAGE_EMULATOR_HOST'])

    def run(steps: int) -> 'subprocess.CompletedProcess[str]':
        command = _command(data_folder, workdir, steps=steps)
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        )

    command = _command(data_folder, workdir, steps=1_000_000)
    with subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.DEVNULL) as first:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not checkpoint.steps(workdir):
            assert first.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        second = run(1_000_000)
        assert first.poll() is None
        first.kill()
    assert second.returncode == 2
    last = second.stderr.splitlines()[-1]
    assert last.startswith(f'error: {workdir}: only one process at a time may write here, but a')
    assert f'process {first.pid}' in last
    assert 'Traceback' not in second.stderr

    steps = checkpoint.steps(workdir)[0] + 5
    third = run(steps)
    assert third.returncode == 0, third.stderr
    logged = [row['step'] for row in metrics_file.read_metrics(workdir)]
    assert logged == list(range(5, steps + 1, 5))
