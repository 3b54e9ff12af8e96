"""What a run reports: progress on a terminal, a summary, Beam metrics."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import pytest

from beam_pipelines import summary
from beam_pipelines.options import ShardOptions
from beam_pipelines.pipeline import job
from beam_pipelines.write import commit
from catalog import categories, manifest
from catalog.sources import bson_files
from tests.beam_pipelines.running import run_command, run_job
from tests.shop import CATEGORY_IDS, jpeg, photo, product

WriteBson = Callable[..., Path]


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Runs the job with a terminal as standard error. Returns its exit code and what is shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, '-m', 'beam_pipelines.shard', *arguments],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b''
    try:
        while data := os.read(ours, 1 << 16):
            shown += data
    except OSError:  # the terminal has no writer any more
        pass
    finally:
        os.close(ours)
    return process.wait(timeout=120), shown.decode()


@pytest.mark.parametrize('workers', [1, 2])
def test_a_terminal_shows_the_bytes_that_are_done(
    workers: int, write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    path = write_bson([product(n, CATEGORY_IDS[n % 4], [photo(n)]) for n in range(600)])
    code, shown = on_a_terminal(
        f'--input={path}',
        f'--categories={categories_path}',
        f'--output={tmp_path / "out"}',
        '--shards=5',
        '--range_mb=0.1',
        f'--direct_num_workers={workers}',
    )
    assert code == 0, shown
    lines = shown.split('\r\x1b[K')[1:]
    total = f'{2 * path.stat().st_size / 1e6:,.0f}'
    assert lines[0] == f'shard:   0% 0/{total} MB scan'
    last = lines[-1].rstrip()
    assert re.fullmatch(rf'shard: 100% {total}/{total} MB, [\d,.]+/s, 0s left write', last)
    shares = [int(line.split('%')[0].removeprefix('shard:')) for line in lines]
    assert shares == sorted(shares)


def test_without_a_terminal_only_the_summary_is_written(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    documents = [product(n, CATEGORY_IDS[n % 2], [jpeg(n % 18), jpeg(100)]) for n in range(20)]
    documents += [product(98, 42, [jpeg(98)]), product(99, CATEGORY_IDS[0], [b'', jpeg(99)])]
    output = tmp_path / 'out'
    done = run_command(
        f'--input={write_bson(documents)}',
        f'--categories={categories_path}',
        f'--output={output}',
        '--max_rejected_fraction=0.1',
        '--duplicates=drop',
        '--drop_blank',
        '--balance=uniform',
        '--shards=3',
    )
    assert (done.returncode, done.stderr) == (0, '')
    *lines, took = done.stdout.splitlines()
    megabytes = {
        split: sum(p.stat().st_size for p in output.glob(f'{split}-*')) / 1e6
        for split in ('train', 'validation')
    }
    rejected_bytes = len(jpeg(98))
    read_bytes = 20 * len(jpeg(100)) + sum(len(jpeg(n % 18)) for n in range(20))
    share = rejected_bytes / (read_bytes + rejected_bytes + len(jpeg(99)))
    assert lines == [
        'read       22 documents, 43 pictures, 0.0 MB',
        f'train      18 records, 19 pictures, {megabytes["train"]:.1f} MB in 3 shards',
        f'validation 2 records, 2 pictures, {megabytes["validation"]:.1f} MB in 1 shard',
        'dropped    2 documents, 21 pictures: duplicate',
        'rejected   1 document: unknown_category 1',
        'rejected   2 pictures: empty 1, unknown_category 1',
        f'rejected   {rejected_bytes:,} bytes, {share:.2%} of all: '
        f'unknown_category {rejected_bytes:,}',
        'note       oversampled images: 1',
        f'details    {output / "rejected"}',
    ]
    assert re.fullmatch(r'took       \d+s: [\d,]+ pictures/s, [\d.]+ MB/s', took)


def test_the_summary_warns_about_duplicate_and_leaked_images(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    # Products of the same class share a picture, which the classes share too.
    documents = [product(n, CATEGORY_IDS[n % 2], [jpeg(100), jpeg(n)]) for n in range(20)]
    output = tmp_path / 'out'
    run_job(write_bson(documents), categories_path, output, test_fraction=0.1)
    text = summary.summarize(manifest.read(str(output)), output=str(output), seconds=2.0)
    assert [line for line in text.splitlines() if line.startswith('warning')] == [
        'warning    duplicate images: 19',
        'warning    duplicate images in several categories: 20',
        'warning    validation and test images also in train (leakage): 4',
    ]
    assert text.splitlines()[-1].startswith('took       2s: 20 pictures/s, ')


def test_beam_metrics_contain_the_ledger(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    documents = [product(n, CATEGORY_IDS[n % 4], [jpeg(n % 50)]) for n in range(60)]
    documents += [product(98, 42, [jpeg(98)]), product(0, CATEGORY_IDS[0], [jpeg(99)])]
    path = write_bson(documents)
    output = tmp_path / 'out'
    commit.prepare(str(output), resume=False, overwrite=False)
    run = beam.Pipeline(runner='FnApiRunner')
    job.build(
        run,
        job.Job(
            source=bson_files.open_files([str(path)]),
            categories=categories.load(str(categories_path)),
            category_bytes=categories_path.read_bytes(),
            options=ShardOptions(shards=3, max_rejected_fraction=0.1),
            output=str(output),
            range_bytes=1000,
        ),
    )
    result = run.run()
    result.wait_until_finish()
    found = {
        counter.key.metric.name: counter.committed
        for counter in result.metrics().query()['counters']
        if counter.key.metric.namespace == 'shard'
    }
    made = json.loads((output / 'manifest.json').read_text())
    shards = [shard for split in made['splits'].values() for shard in split['shards']]
    assert found == {
        'documents_read': 62,
        'documents_train': made['ledger']['documents']['train'],
        'documents_validation': made['ledger']['documents']['validation'],
        'documents_rejected_duplicate_id': 1,
        'documents_rejected_unknown_category': 1,
        'pictures_read': 62,
        'pictures_train': made['ledger']['pictures']['train'],
        'pictures_validation': made['ledger']['pictures']['validation'],
        'pictures_rejected_duplicate_id': 1,
        'pictures_rejected_unknown_category': 1,
        'duplicate_pictures': 10,  # 50 to 59 have the pictures of 0 to 9
        'conflicting_hashes': 10,
        'conflicting_pictures': 20,
        'leaked_pictures': made['ledger']['notes']['leaked_pictures'],
        'bytes_scanned': path.stat().st_size,
        'shards_planned': len(shards),
        'shards_written': len(shards),
        'bytes_written': sum(shard['bytes'] for shard in shards),
    }
