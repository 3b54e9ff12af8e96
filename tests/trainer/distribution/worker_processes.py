"""Two real worker processes on loopback, as two machines would run them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests import ports

_FLAGS = (
    '--config=configs/tiny.py',
    '--config.strategy=multi_worker',
    '--config.device=cpu',
    '--config.batch_size=16',
    '--config.total_steps=60',
    '--config.log_every_steps=2',
    '--config.checkpoint_every_steps=10',
    '--config.keep_checkpoints=2',
    '--config.steps_per_call=2',
    '--config.validation.every_steps=20',
    '--config.model.channels=4',
    '--config.model.dropout=0.3',
    '--config.augment.flip=true',
    '--config.augment.crop=pad',
    '--config.step.ema_decay=0.9',
    '--config.step.accumulate=2',
    '--config.input.shuffle_records=40',
)
_ROOT = Path(__file__).parents[3]
LIMIT_SECONDS = 500


def start(*command: str, index: int, worker_ports: list[int]) -> subprocess.Popen[str]:
    """Starts one worker of a cluster on this machine."""
    hosts = [f'127.0.0.1:{port}' for port in worker_ports]
    cluster = {'cluster': {'worker': hosts}, 'task': {'type': 'worker', 'index': index}}
    environment = {'TF_CPP_MIN_LOG_LEVEL': '3', 'TF_CONFIG': json.dumps(cluster)}
    return subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
        env={**os.environ, **environment},
    )


def start_two(*command: str) -> list[subprocess.Popen[str]]:
    worker_ports = [ports.find_free_port(), ports.find_free_port()]
    return [start(*command, index=index, worker_ports=worker_ports) for index in range(2)]


def training_command(data: str, workdir: Path) -> list[str]:
    return ['-m', 'trainer.task', f'--data={data}', f'--workdir={workdir}', *_FLAGS]


def start_training(data: str, workdir: Path) -> list[subprocess.Popen[str]]:
    return start_two(*training_command(data, workdir))


def wait_for_exit(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Returns exit code, standard output and standard error of each process."""
    texts = [process.communicate(timeout=LIMIT_SECONDS) for process in processes]
    return [(p.returncode, *text) for p, text in zip(processes, texts, strict=True)]


def wait_for_line(processes: list[subprocess.Popen[str]], workdir: Path, *, line: int) -> None:
    """Waits until metrics.jsonl has so many lines."""
    metrics = workdir / 'metrics.jsonl'
    deadline = time.monotonic() + LIMIT_SECONDS
    while not metrics.exists() or metrics.read_bytes().count(b'\n') < line:
        assert all(process.poll() is None for process in processes), wait_for_exit(processes)
        assert time.monotonic() < deadline
        time.sleep(0.002)
