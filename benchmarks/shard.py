r"""Compares the shard job with alternatives on the same files and disk.

  python -m benchmarks.shard --output=DIR --other_python=.venv-tfds/bin/python
  python -m benchmarks.shard --output=DIR --only=cp,loop     # measures these again, prints all

By default it makes kaggle-like files of about 1 and 4 GB. Each contender runs on both, to separate
start-up from the marginal rate (the slope between the two). The files are read once before, so that
every run starts with a warm cache. Peak memory is summed over all processes. Results are kept in
DIR/measured and not measured again unless --only names them, so that a long comparison can be made
in several parts. --other_python needs the packages of requirements-tfds.txt.
"""

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import flags

from benchmarks import measure
from benchmarks.measure import Measured
from catalog import command_line

_OUTPUT = flags.DEFINE_string('output', None, 'Folder for files and results.', required=True)
_SMALL = flags.DEFINE_string('small', None, 'A BSON file; by default one of about 1 GB is made.')
_LARGE = flags.DEFINE_string('large', None, 'A BSON file; by default one of about 4 GB is made.')
_CATEGORIES = flags.DEFINE_string('categories', None, 'Category tree of the files.')
_OTHER = flags.DEFINE_string('other_python', sys.executable, 'Python with TFDS.')
_ONLY = flags.DEFINE_list('only', [], 'Contenders to measure; by default all.')
_ROUNDS = flags.DEFINE_integer('rounds', 1, 'Runs of each; the fastest counts.', lower_bound=1)

SMALL_PRODUCTS, LARGE_PRODUCTS = 100_000, 400_000
BASELINES = {'cp': 6.0, 'loop': 0.5, 'beam': 1 / 12, 'tfds': 1 / 12}  # goal: our time in theirs
OURS = 'job with 2 workers'


@dataclass(frozen=True)
class Input:
    """A file and its size."""

    path: Path
    categories: Path
    bytes: int
    pictures: int


def commands(source: Input, output: Path) -> dict[str, list[str]]:
    """Returns the command of each contender."""
    alternative = ['-m', 'benchmarks.shard_alternatives']
    files = [str(source.path), str(output)]
    job = [
        sys.executable, '-m', 'beam_pipelines.shard', f'--input={source.path}',
        f'--categories={source.categories}', f'--output={output}',
    ]  # fmt: skip
    return {
        'cp': ['cp', str(source.path), str(output / 'copy')],
        'loop': [sys.executable, *alternative, 'loop', *files],
        'beam': [sys.executable, *alternative, 'beam', *files],
        'tfds': [_OTHER.value, *alternative, 'tfds', *files],
        'job with 1 worker': [*job, '--direct_num_workers=1'],
        OURS: [*job, '--direct_num_workers=2'],
    }


def time_one(command: Sequence[str], source: Input, output: Path) -> Measured:
    """Returns the fastest of the rounds, each with a warm cache."""
    runs = []
    for _ in range(_ROUNDS.value):
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        subprocess.run(['cat', source.path], stdout=subprocess.DEVNULL, check=True)
        runs.append(measure.run(command))
    shutil.rmtree(output, ignore_errors=True)
    return min(runs, key=lambda run: run.wall)


def inputs(folder: Path) -> tuple[Input, Input]:
    """Returns the two files, given or made."""
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


def load_or_measure(folder: Path, name: str, source: Input, *, again: bool) -> Measured | None:
    """Returns an earlier or a new measurement of a contender on a file, or None if it fails."""
    kept = folder / 'measured' / f'{name}, {source.bytes}.json'
    if kept.exists() and not again:
        return Measured(**json.loads(kept.read_text()))
    output = folder / 'out'
    try:
        run = time_one(commands(source, output)[name], source, output)
    except subprocess.CalledProcessError as error:
        shutil.rmtree(output, ignore_errors=True)
        lines = error.output.decode(errors='replace').strip().splitlines()
        print(f'{name}: failed: {(lines or [error])[-1]}', file=sys.stderr, flush=True)
        return None
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(dataclasses.asdict(run)))
    print(f'{name}: {source.bytes / 1e9:.1f} GB in {run.wall:.1f} s', file=sys.stderr, flush=True)
    return run


def table(small: Input, large: Input, runs: dict[str, tuple[Measured, Measured]]) -> str:
    """Returns the results, one row per contender and one line per goal."""
    pictures = large.pictures - small.pictures
    megabytes = (large.bytes - small.bytes) / 1e6
    slopes = {name: max(b.wall - a.wall, 1e-9) for name, (a, b) in runs.items()}
    lines = [
        f'{small.bytes / 1e9:.2f} and {large.bytes / 1e9:.2f} GB, '
        f'{small.pictures:,} and {large.pictures:,} pictures',
        '',
        '| | wall, small | wall, large | start-up | pictures/s, marginal | MB/s, marginal '
        '| CPU s per million | peak MB, small | peak MB, large |',
        '|---|---|---|---|---|---|---|---|---|',
    ]
    for name, (a, b) in runs.items():
        lines.append(
            f'| {name} | {a.wall:.1f} s | {b.wall:.1f} s '
            f'| {a.wall - slopes[name] * small.pictures / pictures:.1f} s '
            f'| {pictures / slopes[name]:,.0f} | {megabytes / slopes[name]:,.0f} '
            f'| {(b.cpu - a.cpu) / pictures * 1e6:.1f} | {a.peak_mb:,.0f} | {b.peak_mb:,.0f} |'
        )
    return '\n'.join([*lines, '', *_goals(runs, slopes)])


def _goals(runs: dict[str, tuple[Measured, Measured]], slopes: dict[str, float]) -> list[str]:
    if OURS not in runs:
        return []
    ours, (small, large) = slopes[OURS], runs[OURS]
    lines = []
    for name, most in BASELINES.items():
        if name in slopes and most > 1:
            lines.append(f'{ours / slopes[name]:.1f} times the time of {name} (goal: {most:g})')
        elif name in slopes:
            lines.append(f'{slopes[name] / ours:.1f} times the rate of {name} (goal: {1 / most:g})')
    lines.append(f'peak memory {large.peak_mb:,.0f} MB (goal: 1,500)')
    growth = large.peak_mb / small.peak_mb - 1
    return [*lines, f'growth on the large file {growth:.0%} (goal: 15%)']


def main(argv: list[str]) -> None:
    """Measures and prints the results."""
    del argv
    folder = Path(_OUTPUT.value).absolute()
    small, large = inputs(folder)
    runs: dict[str, tuple[Measured, Measured]] = {}
    for name in commands(small, folder):
        again = name in _ONLY.value
        if _ONLY.value and not again and not list((folder / 'measured').glob(f'{name}, *')):
            continue
        first = load_or_measure(folder, name, small, again=again)
        second = load_or_measure(folder, name, large, again=again) if first else None
        if first and second:
            runs[name] = (first, second)
    print(table(small, large, runs))


if __name__ == '__main__':
    command_line.run(main)
