"""Runs a command and measures its process tree: wall time, CPU time, peak memory."""

import os
import resource
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_EVERY_SECONDS = 0.25  # a poll costs some ms per process


@dataclass(frozen=True)
class Measured:
    """The resource usage of a run.

    Attributes:
      wall: Wall time in seconds.
      cpu: User and system time of all processes in seconds.
      peak_mb: Peak of the sum of the processes' memory (PSS: shared pages count once) in MB.
    """

    wall: float
    cpu: float
    peak_mb: float


def run(command: Sequence[str], *, env: dict[str, str] | None = None) -> Measured:
    """Runs a command to its end and measures it.

    Raises:
      subprocess.CalledProcessError: If it fails, with its output.
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
    """Polls the memory of a process tree in a thread."""

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
    """Returns the ids of a process and its descendants."""
    found = [pid]
    for task in Path(f'/proc/{pid}/task').glob('*/children'):
        try:
            children = task.read_text().split()
        except OSError:  # the process has ended
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
