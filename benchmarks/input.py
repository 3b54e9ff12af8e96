r"""Benchmarks the input pipeline and its alternatives on batches of 128 pictures of 180x180.

Examples:
  python -m benchmarks.input --output=DIR --other_python=.venv-bench/bin/python

Each contender runs in its own process, pinned to 1 and then to 2 cores. Contenders take turns for
several rounds; the table shows medians. Contenders whose packages --other_python lacks are skipped
and listed. Pictures per CPU second are less disturbed by other processes than pictures per second.
All contenders reuse freed memory, as training does (`catalog.process.allocator`), or none with
--nokeep_memory.
"""

import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from absl import flags

from benchmarks import input_files
from benchmarks.input_contenders import CONTENDERS, PARTS
from catalog import command_line
from catalog.process import allocator

_OUTPUT = flags.DEFINE_string('output', None, 'Folder for the data.', required=True)
_OTHER = flags.DEFINE_string(
    'other_python', sys.executable, 'Python with the packages of benchmarks/requirements.txt.'
)
_PRODUCTS = flags.DEFINE_integer('products', 10_000, 'Products of the sample.', lower_bound=1)
_CORES = flags.DEFINE_list('cores', ['1', '2'], 'Numbers of cores to measure.')
_ONLY = flags.DEFINE_list(
    'only', [], 'Contenders, or parts of our pipeline, to measure. Default: all contenders.'
)
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Rounds.', lower_bound=1)
_SECONDS = flags.DEFINE_float('seconds', 4.0, 'Measured seconds per run.', lower_bound=0.1)
_KEEP_MEMORY = flags.DEFINE_bool('keep_memory', True, 'Whether to reuse freed memory.')

GOALS = {  # relative to the limit
    'ours_uint8': 0.75,
    'ours_flip_shuffle': 0.68,
    'ours_floats': 0.55,
}


@dataclass(frozen=True)
class Rate:
    """Pictures per second of wall time and of CPU time."""

    wall: float
    cpu: float


def run_one(name: str, *, cores: int, folder: Path) -> Rate | None:
    """Measures a contender once. If it fails, prints the reason and returns None."""
    python = sys.executable if name.startswith('ours') else _OTHER.value
    pinned = ','.join(str(core) for core in range(cores))
    command = ['taskset', '-c', pinned, python, '-m', 'benchmarks.input_contenders']
    arguments = [name, str(folder), str(cores), str(_SECONDS.value)]
    memory = allocator.environment() if _KEEP_MEMORY.value else {}
    environment = {**os.environ, **memory, 'TF_CPP_MIN_LOG_LEVEL': '2'}
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, env=environment, timeout=300
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ['no error message']
        print(f'{name}: skipped: {reason[-1]}', file=sys.stderr, flush=True)
        return None
    pictures, wall, cpu = (float(field) for field in done.stdout.split()[-3:])
    print(f'{name}, cores={cores}: {pictures / wall:,.0f}/s', file=sys.stderr, flush=True)
    return Rate(wall=pictures / wall, cpu=pictures / cpu)


def median(rates: list[Rate]) -> Rate:
    """Returns the medians of several runs."""
    return Rate(
        wall=statistics.median(rate.wall for rate in rates),
        cpu=statistics.median(rate.cpu for rate in rates),
    )


def table(rates: dict[str, Rate], *, cores: int) -> str:
    """Formats the rates on `cores` cores as a table."""
    limit = rates.get('limit')
    lines = [
        f'{cores} core{"s" if cores > 1 else ""}',
        '',
        '| | pictures/s | of the limit | goal | pictures per CPU second | of the limit |',
        '|---|---|---|---|---|---|',
    ]
    for name, rate in rates.items():
        shares = (rate.wall / limit.wall, rate.cpu / limit.cpu) if limit else (0.0, 0.0)
        goal = GOALS.get(name, '')
        lines.append(
            f'| {name.replace("_", " ")} | {rate.wall:,.0f} | {shares[0]:.2f} | {goal} '
            f'| {rate.cpu:,.0f} | {shares[1]:.2f} |'
        )
    return '\n'.join(lines) + '\n'


def main(argv: list[str]) -> None:
    """Measures and prints a table."""
    del argv
    folder = Path(_OUTPUT.value).absolute()
    input_files.prepare(folder, products=_PRODUCTS.value)
    names = [name for name in CONTENDERS | PARTS if name in (_ONLY.value or CONTENDERS)]
    runs: dict[tuple[str, int], list[Rate]] = {}
    failed: set[str] = set()
    for _ in range(_ROUNDS.value):
        for cores in map(int, _CORES.value):
            for name in names:
                rate = None if name in failed else run_one(name, cores=cores, folder=folder)
                if rate is None:
                    failed.add(name)
                else:
                    runs.setdefault((name, cores), []).append(rate)
    for cores in map(int, _CORES.value):
        found = {name: median(runs[name, cores]) for name in names if (name, cores) in runs}
        print(table(found, cores=cores))
    if failed:
        print(f'skipped: {", ".join(sorted(failed))}')


if __name__ == '__main__':
    command_line.run(main)
