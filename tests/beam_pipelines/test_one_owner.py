"""One job writes to a folder at a time, and a job that runs twice changes nothing."""

import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests import gcs_emulator
from tests.beam_pipelines.running import files, run_command, run_job
from tests.shop import CATEGORY_IDS, jpeg, product, shop

WriteBson = Callable[..., Path]

CHOICES: list[dict[str, object]] = [{'shards': 3}, {'shards': 5, 'balance': 'sqrt', 'seed': 1}]


def flags(options: dict[str, object]) -> list[str]:
    return [f'--{name}={value}' for name, value in options.items()]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-m', 'beam_pipelines.shard', *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def dump(write_bson: WriteBson) -> Path:
    return write_bson(shop(300))


@pytest.fixture
def common(dump: Path, categories_path: Path) -> list[str]:
    return [f'--input={dump}', f'--categories={categories_path}']


def test_of_two_jobs_on_one_folder_one_is_refused_and_the_other_is_undamaged(
    dump: Path, common: list[str], categories_path: Path, tmp_path: Path
) -> None:
    wanted = []
    for number, options in enumerate(CHOICES):
        run_job(dump, categories_path, tmp_path / f'wanted {number}', **options)
        wanted.append(files(tmp_path / f'wanted {number}'))
    for turn in range(10):
        output = tmp_path / f'out {turn}'
        more = [[], ['--resume'], ['--overwrite']][turn % 3]
        jobs = [start(*common, f'--output={output}', *flags(o), *more) for o in CHOICES]
        results = [job.communicate() for job in jobs]
        codes = [job.returncode for job in jobs]
        if codes == [0, 0]:  # one after the other
            assert more == ['--overwrite']
            assert files(output) in wanted
            continue
        assert sorted(codes) == [0, 2], results
        winner = codes.index(0)
        assert files(output) == wanted[winner]
        refusal = results[1 - winner][1]
        assert len(refusal.splitlines()) == 1
        assert refusal.startswith((f'error: {output}: only one process', 'error: --'))


def wait_until_owned(job: subprocess.Popen[str], output: Path) -> None:
    while not (output / '.lock').exists() or not (output / '.lock').read_bytes():
        assert job.poll() is None


def test_the_second_job_is_refused_while_the_first_lives_but_not_after_a_kill(
    common: list[str], tmp_path: Path
) -> None:
    output = tmp_path / 'out'
    first = start(*common, f'--output={output}')
    wait_until_owned(first, output)
    first.send_signal(signal.SIGSTOP)
    second = run_command(*common, f'--output={output}', '--shards=7', '--overwrite')
    assert second.returncode == 2
    assert second.stderr.startswith(
        f'error: {output}: only one process at a time may write here, but beam_pipelines.shard '
        f'(process {first.pid} on '
    )
    assert len(second.stderr.splitlines()) == 1
    first.kill()
    first.communicate()
    assert (output / '.lock').exists()
    third = run_command(*common, f'--output={output}', '--shards=7', '--overwrite')
    assert third.returncode == 0, third.stderr
    assert not (output / '.lock').exists()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with gcs_emulator.running_store() as url:
        gcs_emulator.client(url).create_bucket('shop')
        monkeypatch.setenv('STORAGE_EMULATOR_HOST', url)
        yield url


def test_of_two_jobs_on_one_folder_of_a_store_one_is_refused(store: str, common: list[str]) -> None:
    jobs = [start(*common, '--output=gs://shop/out', *flags(options)) for options in CHOICES]
    results = [job.communicate() for job in jobs]
    codes = [job.returncode for job in jobs]
    assert sorted(codes) == [0, 2], results
    refusal = results[codes.index(2)][1]
    assert refusal.startswith(('error: gs://shop/out: only one process', 'error: --output'))
    names = [blob.name for blob in gcs_emulator.client(store).list_blobs('shop', prefix='out/')]
    winner = int(str(CHOICES[codes.index(0)]['shards']))
    shards = [f'out/train-{n:05d}-of-{winner:05d}.tfrecord' for n in range(winner)]
    assert [name for name in names if 'train-' in name] == shards
    assert 'out/.lock' not in names


def test_resume_of_a_finished_data_set_succeeds_and_writes_nothing(
    common: list[str], tmp_path: Path
) -> None:
    output = tmp_path / 'out'
    arguments = [*common, f'--output={output}', '--shards=3', '--resume']
    assert run_command(*arguments).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in output.iterdir()}
    again = run_command(*arguments)
    assert (again.returncode, again.stderr) == (0, '')
    assert again.stdout == (
        f'complete   {output} already contains the data set of this command; nothing was written\n'
    )
    assert {path: path.stat().st_mtime_ns for path in output.iterdir()} == before


def test_resume_of_a_finished_data_set_that_differs_names_the_difference(
    common: list[str], dump: Path, categories_path: Path, tmp_path: Path
) -> None:
    output = tmp_path / 'out'
    run_job(dump, categories_path, output, shards=3)
    arguments = [*common, f'--output={output}', '--resume']

    def error(*more: str) -> str:
        before = files(output)
        done = run_command(*arguments, *more)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert files(output) == before
        return done.stderr

    assert 'but its --shards is 3 instead of 4;' in error('--shards=4')
    dump.write_bytes(b''.join(shop(299)))
    assert 'but its number of documents in --input is 300 instead of 299;' in error('--shards=3')
    last = product(10**6, CATEGORY_IDS[0], [jpeg(1)] * 4)  # as many pictures as the old one has
    dump.write_bytes(b''.join([*shop(299), last]))
    assert 'but its fingerprint of --input is ' in error('--shards=3')
    (output / 'train-00001-of-00003.tfrecord').write_bytes(b'short')
    assert 'train-00001-of-00003.tfrecord: must have ' in error('--shards=3')


def gif(number: int) -> bytes:
    file = io.BytesIO()
    Image.new('RGB', (16, 16), (number, 0, 0)).save(file, 'GIF')
    return file.getvalue()


@pytest.mark.parametrize(
    'options', [{'balance': 'sqrt'}, {'duplicates': 'drop', 'drop_blank': True}]
)
def test_a_runner_that_repeats_every_bundle_changes_no_byte_and_no_count(
    options: dict[str, object], write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    documents = [
        *shop(120),
        *(product(5000 + n, CATEGORY_IDS[n % 4], [gif(n), jpeg(n)]) for n in range(40)),
        product(10, CATEGORY_IDS[0], [jpeg(1)]),  # a repeated id
        product(6000, 42, [jpeg(2)]),  # an unknown category
        product(6001, CATEGORY_IDS[0], [b'', jpeg(3)]),
    ]
    path = write_bson(documents)
    options = options | {'shards': 4, 'test_fraction': 0.1, 'max_rejected_fraction': 0.1}
    made = []
    for repeat in (0, 1):
        output = tmp_path / str(repeat)
        beam = [f'--direct_runner_bundle_repeat={repeat}']
        run_job(path, categories_path, output, beam=beam, range_bytes=20_000, **options)
        made.append(files(output))
    assert made[1] == made[0]
    ledger = json.loads(made[0]['manifest.json'])['ledger']
    assert ledger['notes']['blank_pictures'] == 40
    assert ledger['notes']['duplicate_pictures'] or ledger['pictures']['dropped_duplicate']
