"""Signals that stop a run of two workers."""

import signal
import socket
import time
from pathlib import Path

from tests import ports
from tests.trainer.distribution.worker_processes import (
    LIMIT_SECONDS,
    start,
    start_training,
    training_command,
    wait_for_exit,
    wait_for_line,
)
from trainer.workdir import checkpoint


def test_sigterm_to_one_worker_stops_both_after_the_same_step(
    data_folder: str, tmp_path: Path
) -> None:
    processes = start_training(data_folder, tmp_path)
    wait_for_line(processes, tmp_path, line=3)
    processes[1].send_signal(signal.SIGTERM)
    step = None
    for code, _, errors in wait_for_exit(processes):
        assert code == 128 + signal.SIGTERM, errors
        step = checkpoint.steps(str(tmp_path))[0]
        assert f'stopped by SIGTERM; step {step} is saved' in errors
        assert "warning: multi_worker opens this worker's port in TF_CONFIG on all" in errors


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(('127.0.0.1', port)) == 0


def test_signals_end_workers_that_wait_for_a_peer(data_folder: str, tmp_path: Path) -> None:
    processes = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        own, absent = ports.find_free_port(), ports.find_free_port()
        command = training_command(data_folder, tmp_path)
        processes[number] = own, start(*command, index=0, worker_ports=[own, absent])
    deadline = time.monotonic() + LIMIT_SECONDS
    codes = {}
    for number, (port, process) in processes.items():
        with process:
            while not _listens(port):  # then it waits for its peer
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(number)
            try:
                codes[number] = process.wait(LIMIT_SECONDS)
            finally:
                process.kill()
    assert codes == {signal.SIGINT: -signal.SIGINT, signal.SIGTERM: -signal.SIGTERM}
    assert not list(tmp_path.iterdir())
