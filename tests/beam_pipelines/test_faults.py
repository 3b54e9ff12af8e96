"""No fault loses data or leaves partial files. Each fault is real."""

import contextlib
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog.errors import UserError
from tests.beam_pipelines.running import files, read_split, run_command, run_job
from tests.shop import CATEGORY_IDS, jpeg, photo, product, shop

WriteBson = Callable[..., Path]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason='only root may mount a small disk')


def start_command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-m', 'beam_pipelines.shard', *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def held(output: Path, *, first: int, shards: int) -> Iterator[None]:
    """Blocks every run before the train shards from number `first` on.

    Before it writes a shard, a run reads the receipt if there is one: here a pipe that stays silent
    until the block ends, and then reports that there is none.
    """
    staging = output / '_staging'
    staging.mkdir(parents=True, exist_ok=True)
    names = [f'train-{index:05d}-of-{shards:05d}.tfrecord.json' for index in range(first, shards)]
    for name in names:
        os.mkfifo(staging / name)
    try:
        yield
    finally:
        for name in names:
            end = os.open(staging / name, os.O_RDWR)
            (staging / name).unlink()
            os.close(end)


def receipts(output: Path) -> list[Path]:
    """The receipts of staged shards, without partial ones and pipes."""
    return [path for path in output.glob('_staging/[!.]*.json') if path.is_file()]


def wait_for_shards(process: subprocess.Popen, output: Path, *, count: int) -> None:
    """Waits until so many shards are staged."""
    while len(receipts(output)) < count:
        assert process.poll() is None, 'it ended before it was killed'
        time.sleep(0.01)


def last_descendant(pid: int) -> int:
    """The first child of the first child, and so on: a worker of Beam's."""
    children = []
    for thread in sorted(Path(f'/proc/{pid}/task').iterdir()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            children += (thread / 'children').read_text().split()
    return last_descendant(int(children[0])) if children else pid


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


@pytest.fixture(scope='module')
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('dump') / 'train.bson'
    path.write_bytes(b''.join(shop(3000)))
    return path


@pytest.fixture
def arguments(dump: Path, categories_path: Path) -> list[str]:
    return [f'--input={dump}', f'--categories={categories_path}', '--shards=200']


@pytest.fixture(scope='module')
def undisturbed_folder(
    dump: Path, categories_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp('undisturbed') / 'out'
    run_job(dump, categories_path, folder, shards=200)
    return folder


@pytest.fixture(scope='module')
def undisturbed(undisturbed_folder: Path) -> dict[str, bytes]:
    """What an undisturbed run writes."""
    return files(undisturbed_folder)


def test_a_killed_worker_ends_the_run_in_one_line_and_resume_gives_the_same_bytes(
    arguments: list[str], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / 'out'
    arguments = [*arguments, f'--output={output}', '--direct_num_workers=2', '--resume']
    with held(output, first=100, shards=200):
        process = start_command(*arguments)
        wait_for_shards(process, output, count=20)
        os.kill(last_descendant(process.pid), signal.SIGKILL)
    _, text = process.communicate(timeout=500)  # until the other worker ends too
    assert process.returncode == 2
    # The shell in which Beam starts a worker may print this too, before or after us.
    lines = set(text.splitlines()) - {'Killed'}
    assert len(lines) == 1
    assert lines.pop().startswith('error: a worker process was killed')
    assert [path.name for path in output.iterdir()] == ['_staging']
    assert len(receipts(output)) >= 20

    done = run_command(*arguments)
    assert done.returncode == 0, done.stderr
    assert files(output) == undisturbed


def test_a_killed_driver_leaves_no_data_set_and_resume_writes_only_what_is_missing(
    arguments: list[str], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / 'out'
    arguments = [*arguments, f'--output={output}']
    with held(output, first=100, shards=200):
        process = start_command(*arguments, '--resume')
        wait_for_shards(process, output, count=20)
        process.kill()
        process.communicate()
    assert sorted(path.name for path in output.iterdir()) == ['.lock', '_staging']
    written = receipts(output)
    assert 20 <= len(written) <= 100

    refused = run_command(*arguments)
    assert refused.returncode == 2
    assert 'contains an unfinished run; use --resume to continue it' in refused.stderr
    written.pop().write_bytes(b'')  # as after a power failure
    kept = {path.stem: path.with_suffix('').stat().st_mtime_ns for path in written}
    done = run_command(*arguments, '--resume')
    assert done.returncode == 0, done.stderr
    assert files(output) == undisturbed
    assert {name: (output / name).stat().st_mtime_ns for name in kept} == kept


def test_a_driver_killed_while_it_overwrites_leaves_the_old_data_set_intact(
    arguments: list[str],
    undisturbed: dict[str, bytes],
    undisturbed_folder: Path,
    tmp_path: Path,
) -> None:
    output = tmp_path / 'out'
    shutil.copytree(undisturbed_folder, output)
    arguments = [*arguments[:2], '--shards=150', f'--output={output}']
    earlier = output / '_staging' / 'of an earlier run'
    earlier.parent.mkdir()
    earlier.touch()
    process = start_command(*arguments, '--overwrite')
    while earlier.exists():  # deleted first, before the input is read
        assert process.poll() is None
        time.sleep(0.01)
    with held(output, first=75, shards=150):
        wait_for_shards(process, output, count=20)
        process.kill()
        process.communicate()
    left = files(output)
    del left['.lock']
    assert {n: data for n, data in left.items() if not n.startswith('_staging')} == undisturbed
    assert len(left) >= len(undisturbed) + 20

    done = run_command(*arguments, '--resume')
    assert done.returncode == 0, done.stderr
    shards = [f'train-{index:05d}-of-00150.tfrecord' for index in range(150)]
    assert [name for name in files(output) if name.startswith('train')] == shards
    assert run_command(*arguments[:3], f'--output={tmp_path / "fresh"}').returncode == 0
    assert files(output) == files(tmp_path / 'fresh')


@pytest.fixture
def large(write_bson: WriteBson, categories_path: Path) -> list[str]:
    """8 MB of input in eight shards."""
    documents = [product(n, CATEGORY_IDS[n % 4], [photo(n)]) for n in range(2000)]
    return [f'--input={write_bson(documents)}', f'--categories={categories_path}', '--shards=8']


def run_on_disk(output: Path, mount_options: str, *arguments: str) -> tuple[int, str, list[str]]:
    """Runs the job with a small disk as its output.

    Returns:
      The exit code, the last line of standard error, and the names of the remaining files.
    """
    output.mkdir()
    # Output is read until the last worker, which may write to it, has ended.
    script = (
        'mount -t tmpfs -o "$1" small "$2"; shift; folder=$1; shift; '
        'errors=$("$@" 2>&1 >/dev/null); code=$?; printf "%s\\n" "$errors" >&2; '
        'find "$folder" -type f -printf "%P\\n"; exit $code'
    )
    command = [sys.executable, '-m', 'beam_pipelines.shard', f'--output={output}', *arguments]
    done = subprocess.run(
        ['unshare', '-m', 'sh', '-c', script, 'sh', mount_options, str(output), *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, last_line(done.stderr), done.stdout.splitlines()


@needs_root
@pytest.mark.parametrize('workers', [1, 2])
def test_a_full_disk_is_reported_and_leaves_no_partial_file(
    workers: int, large: list[str], tmp_path: Path
) -> None:
    code, error, left = run_on_disk(
        tmp_path / 'out', 'size=4m', *large, f'--direct_num_workers={workers}'
    )
    assert code == 2
    assert error.startswith(f'error: No space left on device: {tmp_path / "out"}/_staging/')
    assert left  # complete shards and their receipts, for --resume
    assert all(re.match(r'_staging/(train|validation)-0', name) for name in left)


@needs_root
def test_a_read_only_output_is_reported_before_the_input_is_read(
    large: list[str], tmp_path: Path
) -> None:
    code, error, left = run_on_disk(tmp_path / 'out', 'ro', *large)
    assert (code, left) == (2, [])
    assert error.startswith(f'error: Read-only file system: {tmp_path / "out"}/')


@pytest.mark.parametrize('cut_bytes', [1, 3, 30])
def test_a_truncated_file_is_an_error_with_offset_and_length_unless_allowed(
    cut_bytes: int, write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    documents = shop(40)
    path = write_bson([b''.join(documents)[:-cut_bytes]])
    offset = sum(map(len, documents[:-1]))
    lost = len(documents[-1]) - cut_bytes
    with pytest.raises(UserError, match=f'train.bson at byte {offset}, {lost} bytes: cut_off'):
        run_job(path, categories_path, tmp_path / 'refused')
    assert not (tmp_path / 'refused' / 'manifest.json').exists()

    output = tmp_path / 'allowed'
    run_job(path, categories_path, output, max_rejected_fraction=0.05)
    written = [
        record.product_id
        for split in ('train', 'validation')
        for shard in read_split(output, split)
        for record in shard
    ]
    assert sorted(written) == [10 * number for number in range(39)]


def test_a_truncated_file_gives_exit_code_2(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    path = write_bson([b''.join(shop(40))[:-30]])
    done = run_command(
        f'--input={path}', f'--categories={categories_path}', f'--output={tmp_path / "out"}'
    )
    assert done.returncode == 2
    assert '--max_rejected_fraction' in last_line(done.stderr)


def png_bomb(side: int) -> bytes:
    """A valid grey PNG of zeros: a few hundred KB that unpack to `side`^2 bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        )

    packer = zlib.compressobj(1)
    rows = b''.join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    header = struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', rows) + chunk(b'IEND', b'')
    )


def peak_bytes(*arguments: str) -> int:
    """The peak memory of the job in bytes."""
    code = (
        'import atexit, pathlib, runpy\n'
        "atexit.register(lambda: print(pathlib.Path('/proc/self/status').read_text()))\n"
        "runpy.run_module('beam_pipelines.shard', run_name='__main__', alter_sys=True)\n"
    )
    command = [sys.executable, '-c', code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # Not ru_maxrss, which starts at that of the parent process.
    peak = re.search(r'VmHWM:\s+(\d+) kB', done.stdout)
    assert peak
    return int(peak[1]) * 1024


def test_picture_bombs_and_lengths_of_gigabytes_cost_no_memory(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    documents = shop(40)
    jpeg_bomb = bytearray(jpeg(1))
    frame = jpeg_bomb.index(b'\xff\xc0')
    jpeg_bomb[frame + 5 : frame + 9] = struct.pack('>HH', 20_000, 20_000)
    bombs = [
        product(1, CATEGORY_IDS[0], [png_bomb(20_000)]),
        product(2, CATEGORY_IDS[0], [bytes(jpeg_bomb)]),
        struct.pack('<i', 2**31 - 1) + product(3, CATEGORY_IDS[0], [jpeg(3)])[4:],
    ]
    plain = write_bson(documents, 'plain.bson')
    armed = write_bson([*documents[:20], *bombs, *documents[20:]], 'armed.bson')
    # Most of the bytes are those of the bombs.
    common = [f'--categories={categories_path}', '--max_rejected_fraction=1', '--verify=decode']
    usual = peak_bytes(*common, f'--input={plain}', f'--output={tmp_path / "plain"}')
    peak = peak_bytes(*common, f'--input={armed}', f'--output={tmp_path / "armed"}')
    assert peak - usual < 100e6  # the PNG alone would unpack to 400 MB
    shards = {n: data for n, data in files(tmp_path / 'armed').items() if 'tfrecord' in n}
    assert shards == {n: data for n, data in files(tmp_path / 'plain').items() if 'tfrecord' in n}
