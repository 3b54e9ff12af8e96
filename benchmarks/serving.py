r"""Benchmarks servers of one model: InceptionV3 with a 1x1 convolution and 5,270 classes.

The weights are random: the speed does not depend on them. Photos are sent as bytes by 1 and by 16
clients, each of which sends the next photo when it has the last answer. Servers run on the same
cores (--server_cores), the clients on the others. The contenders of a model, and predict_on_batch
with them, take turns for --rounds rounds; the table has the medians over the rounds.
  thesis            FastAPI around model.predict
  predict_on_batch  FastAPI around model.predict_on_batch
  bare: ...         the model called without a server, from as many threads as there are clients
  REST: ..., gRPC:  serving.model_server with batching
  gateway: ...      serving.gateway before that server, on the same cores

Examples:
  python -m benchmarks.serving --output=run/bench
  python -m benchmarks.serving --output=run/bench --seconds=5 --models='SavedModel,OpenVINO int8'
"""

import dataclasses
import os
import statistics
from dataclasses import dataclass
from pathlib import Path

from absl import flags

from benchmarks import serving_files
from benchmarks.serving_contenders import Contender, Contenders
from benchmarks.serving_load import Load
from catalog import command_line

_OUTPUT = flags.DEFINE_string('output', None, 'Folder of the models, made once.', required=True)
_SECONDS = flags.DEFINE_float('seconds', 4, 'Length of each load.')
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Loads of each contender and number of clients.')
_CORES = flags.DEFINE_string('server_cores', '0', 'Cores of the servers, as for taskset.')
_CLIENT_CORES = flags.DEFINE_string('client_cores', '1', 'Cores of the clients.')
_MODELS = flags.DEFINE_list(
    'models', ['SavedModel', *serving_files.CONVERSIONS], 'Models to serve, by name.'
)

CLIENTS = (1, 16)
BASELINE = 'predict_on_batch'


@dataclass(frozen=True)
class Row:
    """A contender: its median load by number of clients, and its peak memory in MB."""

    name: str
    loads: list[Load]
    memory_mb: float


def measure(contenders: list[Contender]) -> list[Row]:
    """Measures contenders by turns."""
    loads: dict[tuple[str, int], list[Load]] = {}
    for _ in range(_ROUNDS.value):
        for clients in CLIENTS:
            for one in contenders:
                loads.setdefault((one.name, clients), []).append(one.load(clients, _SECONDS.value))
    return [
        Row(one.name, [_median(loads[one.name, count]) for count in CLIENTS], one.peak_mb())
        for one in contenders
    ]


def _median(loads: list[Load]) -> Load:
    return Load(
        **{
            field.name: statistics.median(getattr(load, field.name) for load in loads)
            for field in dataclasses.fields(Load)
        }
    )


def print_table(groups: list[list[Row]]) -> None:
    """Prints each contender, and how it compares with predict_on_batch in the same rounds."""
    print('\n| | clients | requests/s | p50 ms | p99 ms | rate | p99 | peak MB |')
    print('|---|---|---|---|---|---|---|---|')
    for rows in groups:
        base = next(row for row in rows if row.name == BASELINE)
        for row in rows:
            for clients, load, other in zip(CLIENTS, row.loads, base.loads, strict=True):
                print(
                    f'| {row.name} | {clients} | {load.rate:.1f} | {load.p50:.1f} | '
                    f'{load.p99:.1f} | {load.rate / other.rate:.2f}x | '
                    f'{load.p99 / other.p99:.2f}x | {row.memory_mb:,.0f} |'
                )
    print(f'\nrate and p99: compared with the {BASELINE} above, with as many clients')


def print_additions(groups: list[list[Row]]) -> None:
    """Prints what server and gateway add to the time of a model, for one client."""
    print(
        '\n| one client, p50 | model ms | gRPC adds | REST adds | REST behind gRPC | gateway adds |'
    )
    print('|---|---|---|---|---|---|')
    for name, rows in zip(_MODELS.value, groups, strict=True):
        by_name = {row.name: row for row in rows}
        model, over_grpc, rest, gateway = (
            by_name[f'{way}: {name}'].loads[0].p50 for way in ('bare', 'gRPC', 'REST', 'gateway')
        )
        print(
            f'| {name} | {model:.1f} | {over_grpc - model:.1f} ms, {over_grpc / model - 1:.0%} | '
            f'{rest - model:.1f} ms, {rest / model - 1:.0%} | {rest - over_grpc:.1f} ms | '
            f'{gateway - model:.1f} ms, {gateway / model - 1:.0%} |'
        )


def main(argv: list[str]) -> None:
    """Makes the models, measures and prints."""
    del argv
    folder = Path(_OUTPUT.value)
    names = [name for name in _MODELS.value if name != 'SavedModel']
    models = serving_files.make(folder, names)
    photos = serving_files.photos(folder, 64)
    os.sched_setaffinity(0, {int(core) for core in _CLIENT_CORES.value.split(',')})
    with Contenders(folder, photos, _CORES.value) as start:
        baseline = start.thesis(BASELINE, 'predict_on_batch')
        print('measuring: thesis', flush=True)
        groups = [measure([baseline, start.thesis('thesis', 'predict')])]
        for name in _MODELS.value:
            print(f'measuring: {name}', flush=True)
            with Contenders(folder, photos, _CORES.value) as servers:
                bare = servers.bare(f'bare: {name}', models[name])
                groups.append(measure([baseline, bare, *servers.servers(name, models[name])]))
    print_table(groups)
    print_additions(groups[1:])


if __name__ == '__main__':
    command_line.run(main)
