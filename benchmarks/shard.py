"""The shard job beside the alternatives, on the same files and the same disk, in one run.

  python -m benchmarks.shard --output=DIR [--small=SMALL.bson --large=LARGE.bson --categories=CSV]

Without files it makes kaggle-like ones of about 1 and 4 GB. Each contender runs on both sizes, so
that start-up and marginal rate (the slope between the two) stand apart; the files are read once
before, so that all start from a warm cache. Peak memory is summed over all processes.
"""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import flags

from benchmarks import measure
from benchmarks.measure import Measured
from catalog import door

_OUTPUT = flags.DEFINE_string('output', None, 'Folder for files and results.', required=True)
_SMALL = flags.DEFINE_string('small', None, 'A BSON file; by default about 1 GB is made.')
_LARGE = flags.DEFINE_string('large', None, 'A BSON file; by default about 4 GB are made.')
_CATEGORIES = flags.DEFINE_string('categories', None, 'Their category tree.')
_ONLY = flags.DEFINE_list('only', [], 'Names of contenders; by default all.')
_ROUNDS = flags.DEFINE_integer('rounds', 1, 'Runs of each; the fastest counts.', lower_bound=1)

SMALL_PRODUCTS, LARGE_PRODUCTS = 100_000, 400_000


@dataclass(frozen=True)
class Input:
    """A file and what is in it."""

    path: Path
    categories: Path
    bytes: int
    pictures: int


def commands(source: Input, output: Path) -> dict[str, list[str]]:
    """The command of each contender."""
    alternative = [sys.executable, '-m', 'benchmarks.shard_alternatives']
    job = [
        sys.executable, '-m', 'beam_pipelines.shard', f'--input={source.path}',
        f'--categories={source.categories}', f'--output={output}',
    ]  # fmt: skip
    return {
        'cp': ['cp', str(source.path), str(output / 'copy')],
        'loop': [*alternative, 'loop', str(source.path), str(output)],
        'beam': [*alternative, 'beam', str(source.path), str(output)],
        'tfds': [*alternative, 'tfds', str(source.path), str(output)],
        'job, 1 worker': [*job, '--direct_num_workers=1'],
        'job, 2 workers': [*job, '--direct_num_workers=2'],
    }


def time_one(command: Sequence[str], source: Input, output: Path) -> Measured:
    """The fastest of the rounds, from a warm cache."""
    runs = []
    for _ in range(_ROUNDS.value):
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        subprocess.run(['cat', source.path], stdout=subprocess.DEVNULL, check=True)
        runs.append(measure.run(command))
    shutil.rmtree(output, ignore_errors=True)
    return min(runs, key=lambda run: run.wall)


def inputs(folder: Path) -> tuple[Input, Input]:
    """The two files: given, or made."""
    if _SMALL.value and _LARGE.value and _CATEGORIES.value:
        paths = [(Path(path), Path(_CATEGORIES.value)) for path in (_SMALL.value, _LARGE.value)]
    else:
        paths = []
        for products in (SMALL_PRODUCTS, LARGE_PRODUCTS):
            made = folder / f'kaggle-like-{products}'
            if not (made / 'train.bson').exists():
                command = [sys.executable, '-m', 'catalog.samples', 'kaggle-like']
                flags_ = [f'--products={products}', '--test_products=0', f'--output={made}']
                subprocess.run([*command, *flags_], check=True)
            paths.append((made / 'train.bson', made / 'category_names.csv'))
    small, large = (
        Input(path, tree, path.stat().st_size, _count_pictures(path)) for path, tree in paths
    )
    return small, large


def _count_pictures(path: Path) -> int:
    import bson

    with path.open('rb') as file:
        return sum(len(fields['imgs']) for fields in bson.decode_file_iter(file))


def table(small: Input, large: Input, runs: dict[str, tuple[Measured, Measured]]) -> str:
    """The results, a row a contender."""
    pictures = large.pictures - small.pictures
    megabytes = (large.bytes - small.bytes) / 1e6
    slopes = {name: max(b.wall - a.wall, 1e-9) for name, (a, b) in runs.items()}
    ours = slopes.get('job, 2 workers')
    lines = [
        f'{small.bytes / 1e9:.2f} and {large.bytes / 1e9:.2f} GB, '
        f'{small.pictures:,} and {large.pictures:,} pictures',
        '',
        '| | wall, small | wall, large | start-up | pictures/s, marginal | MB/s, marginal '
        '| CPU s a million | peak MB, small | peak MB, large | job with 2 workers is |',
        '|---|---|---|---|---|---|---|---|---|---|',
    ]
    for name, (a, b) in runs.items():
        start_up = a.wall - slopes[name] * small.pictures / pictures
        ratio = f'{slopes[name] / ours:.2f}x' if ours else ''
        lines.append(
            f'| {name} | {a.wall:.1f} s | {b.wall:.1f} s | {start_up:.1f} s '
            f'| {pictures / slopes[name]:,.0f} | {megabytes / slopes[name]:,.0f} '
            f'| {(b.cpu - a.cpu) / pictures * 1e6:.1f} | {a.peak_mb:,.0f} | {b.peak_mb:,.0f} '
            f'| {ratio} |'
        )
    return '\n'.join(lines)


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    folder = Path(_OUTPUT.value)
    small, large = inputs(folder)
    runs: dict[str, tuple[Measured, Measured]] = {}
    for name in commands(small, folder):
        if _ONLY.value and name not in _ONLY.value:
            continue
        if name == 'tfds' and importlib.util.find_spec('tensorflow_datasets') is None:
            print('tfds: left out, tensorflow_datasets is not installed', file=sys.stderr)
            continue
        first, second = (
            time_one(commands(source, folder / 'out')[name], source, folder / 'out')
            for source in (small, large)
        )
        runs[name] = (first, second)
        print(f'{name}: {first.wall:.1f} s and {second.wall:.1f} s', file=sys.stderr, flush=True)
    print(table(small, large, runs))


if __name__ == '__main__':
    door.run(main)
