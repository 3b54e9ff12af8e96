"""A MongoDB server for tests, in a process and an environment of its own."""

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bson
import numpy as np
import pytest
from pymongo.collection import Collection

SERVER = 'SecantusDB==0.7.0b3'
ENVIRONMENT = Path(__file__).resolve().parents[1] / '.venv-mongo'


@contextlib.contextmanager
def running_server() -> Iterator[tuple[str, subprocess.Popen]]:
    """Yields the address and the process of a server. Skips the test if there is none."""
    process = subprocess.Popen(
        [str(_python()), str(Path(__file__).with_name('mongo_server.py'))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    uri = process.stdout.readline().strip().rstrip('/')
    if not uri:
        process.wait()
        pytest.skip(f'the MongoDB test server does not start: exit code {process.returncode}')
    try:
        yield uri, process
    finally:
        process.kill()
        process.communicate()


def _python() -> Path:
    """Returns the Python of an environment with the server. Makes the environment if needed."""
    python = ENVIRONMENT / 'bin' / 'python'
    ready = ENVIRONMENT / f'{SERVER}.ready'
    ENVIRONMENT.mkdir(exist_ok=True)
    with _locked(ENVIRONMENT):  # another test process may be making it
        if not ready.exists():
            commands = [
                [sys.executable, '-m', 'venv', '--clear', str(ENVIRONMENT)],
                [str(python), '-m', 'pip', 'install', '--quiet', SERVER],
            ]
            for command in commands:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    last = (done.stderr.strip().splitlines() or ['no reason given'])[-1]
                    pytest.skip(f'the MongoDB test server cannot be installed: {last}')
            ready.touch()
    return python


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Locks a folder against other processes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def fill(collection: Collection, documents: list[bytes]) -> None:
    """Inserts documents, not in order of their ids."""
    order = np.random.default_rng(0).permutation(len(documents))
    collection.insert_many([bson.decode(documents[n]) for n in order.tolist()])
