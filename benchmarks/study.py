r"""Runs an ablation study of balance, prior rule, losses, label smoothing and view fusion.

Examples:
  python -m benchmarks.study --output=run/study
  python -m benchmarks.study --output=run/study --only=views --seeds=2

Trains a small model many times on long-tailed Fashion-MNIST; benchmarks/study_cells.py lists the
runs. Each result is a file in OUTPUT/cells. The same command resumes an interrupted study. The
tables are in OUTPUT/tables.md, and docs/study.md explains them. One cell runs per core at a time.
"""

import concurrent.futures
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags

from benchmarks import study_run, study_tables
from benchmarks.study_cells import TABLES, Cell, Data, cells
from catalog import command_line, storage
from catalog.process.progress import Progress

_OUTPUT = flags.DEFINE_string('output', None, 'Folder for data, results, tables.', required=True)
_SEEDS = flags.DEFINE_integer('seeds', 5, 'Runs per cell.', lower_bound=1)
_ONLY = flags.DEFINE_string('only', '', 'Runs only the cells whose name contains this text.')
_WORKERS = flags.DEFINE_integer('workers', None, 'Parallel runs. Default: the number of cores.')


Call = tuple[Callable[..., object], Path, Cell | Data, int]


def _start(number: 'multiprocessing.sharedctypes.Synchronized[int]') -> None:
    with number.get_lock():
        study_run.pin(number.value)
        number.value += 1


def _run_all(calls: Sequence[Call], title: str) -> int:
    """Runs calls of (function, folder, argument, seed) in parallel.

    Prints the errors and returns their number.
    """
    if not calls:
        return 0
    context = multiprocessing.get_context('spawn')
    workers = _WORKERS.value or len(os.sched_getaffinity(0))
    failed = 0
    progress = Progress(title, total=len(calls), unit='run')
    with concurrent.futures.ProcessPoolExecutor(
        workers, context, initializer=_start, initargs=(context.Value('i', 0),)
    ) as pool:
        running = {
            pool.submit(function, folder, argument, seed=seed): (argument, seed)
            for function, folder, argument, seed in calls
        }
        for number, future in enumerate(concurrent.futures.as_completed(running), start=1):
            if error := future.exception():
                failed += 1
                argument, seed = running[future]
                print(f'{argument.name}, seed {seed}: {error}', file=sys.stderr)
            progress.update(number)
    progress.close()
    return failed


def _prepare(folder: Path, missing: Sequence[tuple[Cell, int]]) -> int:
    """Writes the data of cells, each data set once; returns the number of errors."""
    samples = {(cell.data.sample, seed): (cell.data, seed) for cell, seed in missing}
    tests = {cell.data.views: Data(10, views=cell.data.views) for cell, _ in missing}
    shards = {(cell.data.name, seed): (cell.data, seed) for cell, seed in missing}
    failed = _run_all(
        [(study_run.write_sample, folder, *one) for one in samples.values()], 'samples'
    )
    failed += _run_all([(study_run.write_test, folder, one, 0) for one in tests.values()], 'tests')
    return failed + _run_all(
        [(study_run.write_train, folder, *one) for one in shards.values()], 'shards'
    )


def _results(folder: Path, chosen: Sequence[Cell]) -> study_tables.Results:
    paths = {
        (cell.name, seed): study_run.result_path(folder, cell, seed=seed)
        for cell in chosen
        for seed in range(_SEEDS.value)
    }
    return {key: json.loads(path.read_bytes()) for key, path in paths.items() if path.exists()}


def main(argv: list[str]) -> None:
    """Runs the cells without a result, and writes the tables."""
    del argv
    folder = Path(_OUTPUT.value).absolute()
    chosen = [cell for cell in cells() if _ONLY.value in cell.name]
    missing = [
        (cell, seed)
        for seed in range(_SEEDS.value)
        for cell in chosen
        if not study_run.result_path(folder, cell, seed=seed).exists()
    ]
    failed = _prepare(folder, missing)
    failed += _run_all([(study_run.run, folder, *one) for one in missing], 'study')
    text = study_tables.document(TABLES, _results(folder, cells()), seeds=range(_SEEDS.value))
    storage.write_bytes(str(folder / 'tables.md'), text.encode())
    print(text)
    if failed:
        command_line.exit_with_error(
            f'{failed} runs failed, see above; the same command runs only those again'
        )


if __name__ == '__main__':
    command_line.run(main)
