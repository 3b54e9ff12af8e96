"""Shards and manifest have the same bytes with any runner, workers and ranges."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.beam_pipelines.running import files, run_job
from tests.shop import CATEGORY_IDS, jpeg, photo, product

OPTIONS = {'balance': 'sqrt', 'shards': 5, 'test_fraction': 0.1, 'max_rejected_fraction': 0.1}


@pytest.fixture(scope='module')
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.5 MB with repeats, unknown categories, damage and a truncated end."""
    documents = [
        product(7 * n, CATEGORY_IDS[(n * n) % 4], [photo(n), jpeg(n % 50)][: n % 2 + 1])
        for n in range(300)
    ]
    documents[40] = product(280, 42, [jpeg(1)])
    documents[90] = documents[90][:-1] + b'\x01'
    documents[150] = product(7, CATEGORY_IDS[0], [jpeg(2)])  # the _id of an earlier document
    path = tmp_path_factory.mktemp('dump') / 'train.bson'
    path.write_bytes(b''.join(documents)[:-20])
    return path


@pytest.fixture(scope='module')
def wanted(
    dump: Path, categories_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """What one process makes from one range."""
    output = tmp_path_factory.mktemp('wanted') / 'out'
    run_job(dump, categories_path, output, range_bytes=1 << 30, **OPTIONS)
    made = files(output)
    assert sum(name.startswith('train') for name in made) == 5
    assert 'rejected/rejected.jsonl' in made
    return made


@pytest.mark.parametrize('range_bytes', [64 << 10, 300_000, 1 << 20])
def test_ranges_of_any_size_give_the_same_bytes(
    range_bytes: int, dump: Path, wanted: dict[str, bytes], categories_path: Path, tmp_path: Path
) -> None:
    run_job(dump, categories_path, tmp_path / 'out', range_bytes=range_bytes, **OPTIONS)
    assert files(tmp_path / 'out') == wanted


@pytest.mark.parametrize('workers', [2, 4])
def test_worker_processes_give_the_same_bytes(
    workers: int, dump: Path, wanted: dict[str, bytes], categories_path: Path, tmp_path: Path
) -> None:
    beam = ('--runner=FnApiRunner', f'--direct_num_workers={workers}')
    run_job(dump, categories_path, tmp_path / 'out', beam=beam, range_bytes=64 << 10, **OPTIONS)
    assert files(tmp_path / 'out') == wanted


@pytest.fixture
def job_service(tmp_path: Path) -> Iterator[str]:
    """The address of Beam's job service in a process of its own."""
    port_file = tmp_path / 'port'
    module = 'apache_beam.runners.portability.local_job_service_main'
    process = subprocess.Popen(
        [sys.executable, '-m', module, '--port=0', f'--port_file={port_file}'],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None and not (port_file.exists() and port_file.read_text()):
            time.sleep(0.05)
        yield f'127.0.0.1:{port_file.read_text().strip()}'
    finally:
        process.terminate()
        process.wait()


def test_a_job_service_gives_the_same_bytes(
    job_service: str,
    dump: Path,
    wanted: dict[str, bytes],
    categories_path: Path,
    tmp_path: Path,
) -> None:
    beam = (
        '--runner=PortableRunner',
        f'--job_endpoint={job_service}',
        '--environment_type=LOOPBACK',
    )
    run_job(dump, categories_path, tmp_path / 'out', beam=beam, range_bytes=64 << 10, **OPTIONS)
    assert files(tmp_path / 'out') == wanted


_RUN_ON_DASK = """
import json, sys
from pathlib import Path
from tests.beam_pipelines.running import run_job

dump, categories, output = map(Path, sys.argv[1:4])
beam = ['--runner=apache_beam.runners.dask.dask_runner.DaskRunner']
run_job(dump, categories, output, beam=beam, range_bytes=64 << 10, **json.loads(sys.argv[4]))
"""


def test_dask_gives_the_same_bytes_and_its_open_port_is_reported(
    dump: Path, wanted: dict[str, bytes], categories_path: Path, tmp_path: Path
) -> None:
    """In a process of its own: Dask leaves threads and its dashboard behind."""
    arguments = map(str, [dump, categories_path, tmp_path / 'out', json.dumps(OPTIONS)])
    done = subprocess.run(
        [sys.executable, '-c', _RUN_ON_DASK, *arguments],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / 'out') == wanted
    warning = 'warning: Dask opens its dashboard, port 8787 if that is free, on all interfaces'
    assert warning in done.stderr
