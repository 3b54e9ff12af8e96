"""One process at a time owns a folder, on a disk and on an object store, also after kill -9."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog.errors import UserError
from catalog.process import folder_lock, object_lease
from tests import buckets, gcs_emulator

OWNER = """
import sys
from catalog.errors import UserError
from catalog.process import folder_lock, object_lease

object_lease.HEARTBEAT_SECONDS = 0.5
object_lease.EXPIRY_SECONDS = 3.0
try:
    with folder_lock.own_folder(sys.argv[1], owner='the first') as ownership:
        print('owned', flush=True)
        sys.stdin.read()
        ownership.require()
except UserError as error:
    print(error, flush=True)
"""


@pytest.fixture
def start() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a process that owns a folder until its input ends. Its first line reports it."""
    processes = []

    def run(folder: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, '-c', OWNER, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.fixture
def store_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(object_lease, 'HEARTBEAT_SECONDS', 0.5)
    monkeypatch.setattr(object_lease, 'EXPIRY_SECONDS', 3.0)
    with gcs_emulator.running_store() as url:
        gcs_emulator.client(url).create_bucket('shop')
        monkeypatch.setenv('STORAGE_EMULATOR_HOST', url)
        yield 'gs://shop/a folder [1]'


@pytest.fixture(params=['disk', 'store'])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == 'disk':
        return str(tmp_path / 'a folder [1]')
    return request.getfixturevalue('store_folder')


def test_the_second_owner_is_refused_by_name_while_the_first_lives(
    folder: str, start: Callable[[str], subprocess.Popen[str]]
) -> None:
    first = start(folder)
    assert first_line(first) == 'owned'
    rule = rf'only one process at a time may write here, but the first \(process {first.pid} on '
    for _ in range(2):
        with (
            pytest.raises(UserError, match=rule),
            folder_lock.own_folder(folder, owner='the second'),
        ):
            pass
    first.communicate('')
    with folder_lock.own_folder(folder, owner='the second') as ownership:
        ownership.require()


def test_a_killed_owner_does_not_lock_the_folder(
    folder: str, start: Callable[[str], subprocess.Popen[str]]
) -> None:
    first = start(folder)
    assert first_line(first) == 'owned'
    first.kill()
    first.communicate()
    with folder_lock.own_folder(folder, owner='the second') as ownership:
        ownership.require()


@pytest.mark.parametrize('scheme', ['s3://', 'az://'])
def test_other_stores_lock_folders_too(
    scheme: str, start: Callable[[str], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_lease, 'HEARTBEAT_SECONDS', 0.5)
    monkeypatch.setattr(object_lease, 'EXPIRY_SECONDS', 3.0)
    with buckets.running(scheme) as bucket:
        for name, value in bucket.environment(bucket.url).items():
            monkeypatch.setenv(name, value)
        folder = bucket.path('a folder [1]')
        first = start(folder)
        assert first_line(first) == 'owned'
        with (
            pytest.raises(UserError, match=r'only one process at a time .* the first \(process'),
            folder_lock.own_folder(folder, owner='the second'),
        ):
            pass
        first.communicate('')
        assert bucket.names() == []
        killed = start(folder)
        assert first_line(killed) == 'owned'
        killed.kill()
        with folder_lock.own_folder(folder, owner='the second') as ownership:
            ownership.require()
            assert bucket.names() == ['a folder [1]/.lock']
        assert bucket.names() == []


def test_one_of_many_owners_that_start_together_succeeds(
    folder: str, start: Callable[[str], subprocess.Popen[str]]
) -> None:
    for _ in range(3):
        processes = [start(folder) for _ in range(4)]
        lines = [first_line(process) for process in processes]
        assert lines.count('owned') == 1
        assert sum('only one process at a time' in line for line in lines) == 3
        for process in processes:
            process.communicate('')


def test_a_released_folder_has_no_lock_file(tmp_path: Path) -> None:
    with folder_lock.own_folder(str(tmp_path), owner='the first'):
        assert [path.name for path in tmp_path.iterdir()] == ['.lock']
    assert not list(tmp_path.iterdir())


def test_a_lock_that_stays_serves_workers_until_another_process_takes_over(folder: str) -> None:
    with folder_lock.own_folder(folder, owner='the first', stays=lambda: True) as first:
        pass
    first.require()
    with folder_lock.own_folder(folder, owner='the second') as second:
        second.require()
        with pytest.raises(
            UserError, match=r'was taken over while this process ran: by the second'
        ):
            first.require()
    with pytest.raises(UserError, match=r'\.lock was deleted'):
        first.require()


def test_a_new_folder_is_deleted_if_it_stays_empty(tmp_path: Path) -> None:
    with folder_lock.own_folder(str(tmp_path / 'new'), owner='the first'):
        pass
    assert not (tmp_path / 'new').exists()
    with folder_lock.own_folder(str(tmp_path / 'new'), owner='the first'):
        (tmp_path / 'new' / 'file').touch()
    assert (tmp_path / 'new' / 'file').exists()


def test_a_forked_child_does_not_keep_the_folder(tmp_path: Path) -> None:
    read, write = os.pipe()
    with folder_lock.own_folder(str(tmp_path), owner='the first'):
        child = os.fork()
        if not child:
            os.close(write)
            os.read(read, 1)  # until the parent has tried
            os._exit(0)
    with folder_lock.own_folder(str(tmp_path), owner='the second'):
        pass
    os.close(read)
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize('plant', [os.symlink, os.link, lambda _, lock: os.mkfifo(lock)])
def test_a_planted_lock_is_refused_by_name(
    plant: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    victim, folder = tmp_path / 'victim', tmp_path / 'folder'
    victim.write_text('precious')
    folder.mkdir()
    plant(victim, folder / '.lock')
    with (
        pytest.raises(UserError, match=r'/\.lock: must be a regular file .* got a link'),
        folder_lock.own_folder(str(folder), owner='the first'),
    ):
        pass
    assert victim.read_text() == 'precious'


def test_an_ownership_that_was_lost_is_noticed_in_a_worker(folder: str) -> None:
    with folder_lock.own_folder(folder, owner='the first') as ownership:
        in_worker = pickle.loads(pickle.dumps(ownership))
        in_worker.require()
    with (
        folder_lock.own_folder(folder, owner='the second'),
        pytest.raises(UserError, match=r'taken over while .* by the second \(process'),
    ):
        in_worker.require()
    with pytest.raises(UserError, match='was deleted'):
        in_worker.require()


def test_a_suspended_owner_on_a_store_loses_the_folder_and_leaves_it_to_the_next_one(
    store_folder: str, start: Callable[[str], subprocess.Popen[str]]
) -> None:
    first = start(store_folder)
    assert first_line(first) == 'owned'
    first.send_signal(signal.SIGSTOP)
    with folder_lock.own_folder(store_folder, owner='the second') as second:
        first.send_signal(signal.SIGCONT)
        assert 'taken over while this process ran: by the second' in first.communicate('')[0]
        second.require()
