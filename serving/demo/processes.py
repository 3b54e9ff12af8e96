"""Processes that start one after the other, and end together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from catalog.errors import UserError
from catalog.process import folder_lock

STOP_SECONDS = 30  # for a process after SIGTERM, before SIGKILL
_POLL_SECONDS = 0.1
_READY = 'ready: '


@dataclass
class Processes:
    """Runs modules of Python with a log for each.

    Attributes:
      folder: Folder of the logs.
    """

    folder: Path
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, module: str, flags: Sequence[str]) -> str:
        """Starts a module, and returns the line `ready: …` that it prints.

        Raises:
          UserError: If it ends before.
        """
        process = self._start(module, flags)
        while True:
            ended = process.poll() is not None  # before the log is read for the last time
            for line in self.log(module).read_text(errors='replace').splitlines(keepends=True):
                if line.startswith(_READY) and line.endswith('\n'):
                    return line.strip()
            if ended:
                raise self._failure(module)
            time.sleep(_POLL_SECONDS)

    def wait(self) -> None:
        """Waits until one of the processes ends, which is an error.

        Raises:
          UserError: When it has ended.
        """
        while True:
            for module, process in self._running.items():
                if process.poll() is not None:
                    raise self._failure(module)
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Ends the processes, the one that started last first."""
        for process in reversed(self._running.values()):
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def log(self, module: str) -> Path:
        """Returns the log of a module: its standard output and standard error."""
        return self.folder / f'{module.rpartition(".")[2]}.log'

    def _start(self, module: str, flags: Sequence[str]) -> subprocess.Popen[bytes]:
        with self.log(module).open('wb') as log:
            self._running[module] = subprocess.Popen(
                [sys.executable, '-m', module, *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, 'PYTHONUNBUFFERED': '1'},
                start_new_session=True,  # Ctrl-C is for this process, which then ends the others
            )
        return self._running[module]

    def _failure(self, module: str) -> UserError:
        log = self.log(module)
        end = _describe_end(self._running[module].returncode)
        lines = log.read_text(errors='replace').strip().splitlines() or ['nothing']
        return UserError(f'{module} must keep running, but {end}; {log} ends with: {lines[-1]}')


def _describe_end(code: int) -> str:
    if code >= 0:
        return f'ended with exit code {code}'
    memory = ', perhaps for want of memory' if code == -signal.SIGKILL else ''
    return f'was killed ({signal.Signals(-code).name}{memory})'


@contextmanager
def running(folder: Path) -> Iterator[Processes]:
    """Gives processes whose logs are in a folder, and ends them.

    Raises:
      UserError: If processes with logs there are running already.
    """
    processes = Processes(folder)
    with folder_lock.own_folder(str(folder), owner='serving.demo'):
        try:
            yield processes
        finally:
            processes.stop()
