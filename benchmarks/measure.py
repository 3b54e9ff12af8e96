"""Runs a command and measures its whole process tree: wall, CPU seconds, peak memory."""

import os
import resource
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_EVERY_SECONDS = 0.25  # looking costs some ms a process


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
      wall: seconds.
      cpu: seconds of user and system time of all processes.
      peak_mb: the largest sum of the processes' memory (PSS: shared pages counted once), in MB.
    """

    wall: float
    cpu: float
    peak_mb: float


def run(command: Sequence[str], *, env: dict[str, str] | None = None) -> Measured:
    """Runs a command to its end.

    Raises:
      subprocess.CalledProcessError: if it fails; its output is in the error.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
    )
    peak = _Peak(process.pid)
    output, _ = process.communicate()
    wall = time.monotonic() - start
    peak.stop()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(wall=wall, cpu=cpu, peak_mb=peak.bytes / 1e6)


class _Peak:
    """Polls the memory of a process and its descendants in a thread."""

    def __init__(self, pid: int) -> None:
        self.bytes = 0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            self.bytes = max(self.bytes, sum(map(_pss_bytes, _tree(self._pid))))


def _tree(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for task in Path(f'/proc/{pid}/task').glob('*/children'):
        try:
            children = task.read_text().split()
        except OSError:  # gone meanwhile
            continue
        for child in children:
            found += _tree(int(child))
    return found


def _pss_bytes(pid: int) -> int:
    try:
        lines = Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith('Pss:'))
