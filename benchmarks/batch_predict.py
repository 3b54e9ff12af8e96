r"""Benchmarks `beam_pipelines.predict` against `trainer.predict`, on this machine.

Examples:
  python -m benchmarks.batch_predict --model=run/models/product_categories/1 \
    --input=run/sample/test.bson

Each command predicts a part of the input and all of it, once. A rate is the difference of the
products by the difference of the times, so that the start of processes and the load of the model do
not count; they are in the column of the start. CPU time counts all processes. On a machine with
other work, compare products by CPU second. Memory is the peak of the sum of all processes.
"""

import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from benchmarks import measure
from catalog import command_line
from catalog.formats import bson_document

_MODEL = flags.DEFINE_string('model', None, 'Version folder of an exported model.', required=True)
_INPUT = flags.DEFINE_string('input', None, 'A BSON file with products.', required=True)
_PART = flags.DEFINE_float('part', 0.2, 'Share of the input that the shorter run predicts.')
_WORKERS = flags.DEFINE_integer('workers', 2, 'Worker processes of the third run.')


def commands() -> dict[str, list[str]]:
    beam = ['beam_pipelines.predict']
    return {
        'trainer.predict': ['trainer.predict'],
        'beam_pipelines.predict': beam,
        f'{_WORKERS.value} workers': [*beam, f'--direct_num_workers={_WORKERS.value}'],
    }


def documents(path: Path) -> list[bytes]:
    """Returns the documents of a BSON file."""
    data, at, found = path.read_bytes(), 0, []
    while length := bson_document.framed_length(data, at):
        found.append(data[at : at + length])
        at += length
    return found


def run(command: Sequence[str], source: Path, output: Path) -> measure.Measured:
    """Runs a command from start to end."""
    module, *more = command
    flag_values = [f'--model={_MODEL.value}', f'--input={source}', f'--output={output}']
    return measure.run([sys.executable, '-m', module, *flag_values, *more])


def main(argv: list[str]) -> None:
    """Measures and prints a table."""
    del argv
    every = documents(Path(_INPUT.value))
    few = every[: max(int(len(every) * _PART.value), 1)]
    more = len(every) - len(few)
    first_rate = 0.0
    print('| command | products/s | products/CPU-s | ratio | start s | peak MB |')
    print('|---|---|---|---|---|---|')
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder, 'part.bson')
        part.write_bytes(b''.join(few))
        numbers = itertools.count()
        for name, command in commands().items():
            short = run(command, part, Path(folder, f'{next(numbers)}'))
            long = run(command, Path(_INPUT.value), Path(folder, f'{next(numbers)}'))
            rate = more / max(long.wall - short.wall, 1e-9)
            cpu_rate = more / max(long.cpu - short.cpu, 1e-9)
            first_rate = first_rate or cpu_rate
            start = short.wall - len(few) / rate
            print(
                f'| {name} | {rate:,.0f} | {cpu_rate:,.0f} | {cpu_rate / first_rate:.2f} | '
                f'{start:.1f} | {long.peak_mb:,.0f} |',
                flush=True,
            )
    print(f'\n{len(every):,} products; ratio: products by CPU second, to trainer.predict')


if __name__ == '__main__':
    command_line.run(main)
