"""A local run opens no port on another interface than loopback."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest

from beam_pipelines.local import runner
from tests.shop import shop

LISTEN = '0A'
LOOPBACK = {'0100007F', '00000000000000000000000001000000', '0000000000000000FFFF00000100007F'}


def descendants(pid: int) -> Iterator[int]:
    """Yields a process and its children, as they are now."""
    yield pid
    for task in Path(f'/proc/{pid}/task').glob('*/children'):
        for child in task.read_text().split():
            yield from descendants(int(child))


def listening(pid: int) -> set[tuple[str, str]]:
    """Returns the (address, port) in hex on which a process and its children listen."""
    inodes = set()
    for process in list(descendants(pid)):
        for file in Path(f'/proc/{process}/fd').glob('*'):
            try:
                inodes.add(os.readlink(file))
            except OSError:  # closed by now
                continue
    found = set()
    for table in ('tcp', 'tcp6'):
        for line in Path(f'/proc/{pid}/net/{table}').read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and f'socket:[{fields[9]}]' in inodes:
                address, port = fields[1].split(':')
                found.add((address, port))
    return found


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_worker_processes_are_reached_over_loopback_only(
    categories_path: Path, tmp_path: Path
) -> None:
    (tmp_path / 'train.bson').write_bytes(b''.join(shop(200)))
    arguments = [
        f'--input={tmp_path / "train.bson"}',
        f'--categories={categories_path}',
        f'--output={tmp_path / "out"}',
        '--direct_num_workers=2',
    ]
    process = subprocess.Popen([sys.executable, '-m', 'beam_pipelines.shard', *arguments])
    found: set[tuple[str, str]] = set()
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        try:
            found |= listening(process.pid)
        except OSError:  # a process has ended
            continue
        time.sleep(0.02)
    assert process.wait(timeout=10) == 0
    assert len(found) >= 6
    assert {address for address, _ in found} <= LOOPBACK


def test_a_beam_that_cannot_be_patched_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from apache_beam.runners.portability import local_job_service

    monkeypatch.delattr(local_job_service, 'grpc')
    runner.run(lambda pipeline: None, [], input_bytes=0)
    assert capsys.readouterr().err == (
        f'warning: Beam {beam.__version__} opens the ports for its workers on all interfaces, '
        'without authentication; whoever reaches them sees this job (docs/operations.md)\n'
    )
