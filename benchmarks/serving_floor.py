r"""Compares what serving.model_server adds to a model with the least that gRPC in Python adds.

One client sends the next photo when it has the last answer; the models are those of
benchmarks.serving. Contenders take turns for --rounds rounds, and the table has the medians.
  bare              the model called without a server
  empty handler     a gRPC server that answers the same bytes at once, as fast as it is asked
  model in handler  a gRPC server that runs the model on one photo and answers the same bytes
  gRPC: server      serving.model_server

Example:
  python -m benchmarks.serving_floor --output=run/bench --model='OpenVINO int8'
"""

import os
import statistics
from pathlib import Path

from absl import flags

from benchmarks import serving_files
from benchmarks.serving_contenders import Contenders
from catalog import command_line

_OUTPUT = flags.DEFINE_string('output', None, 'Folder of the models, made once.', required=True)
_MODEL = flags.DEFINE_string('model', 'OpenVINO int8', 'Model to serve, by name.')
_SECONDS = flags.DEFINE_float('seconds', 2, 'Length of each load.')
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'Loads of each contender.')
_CORES = flags.DEFINE_string('server_cores', '0', 'Cores of the servers, as for taskset.')
_CLIENT_CORES = flags.DEFINE_string('client_cores', '1', 'Cores of the client.')


def main(argv: list[str]) -> None:
    """Makes the model, measures and prints."""
    del argv
    folder = Path(_OUTPUT.value)
    name = _MODEL.value
    models = serving_files.make(folder, [name] if name != 'SavedModel' else [])
    photos = serving_files.photos(folder, 64)
    os.sched_setaffinity(0, {int(core) for core in _CLIENT_CORES.value.split(',')})
    with Contenders(folder, photos, _CORES.value) as start:
        contenders = [
            start.bare('bare', models[name]),
            start.handler('empty handler'),
            start.handler('model in handler', models[name]),
            start.servers('server', models[name])[0],
        ]
        loads = [
            [one.load(1, _SECONDS.value).p50 for one in contenders] for _ in range(_ROUNDS.value)
        ]
    print(f'\n| one client, {name} | p50 ms | more than bare |')
    print('|---|---|---|')
    medians = [statistics.median(times) for times in zip(*loads, strict=True)]
    for one, milliseconds in zip(contenders, medians, strict=True):
        more = f'{milliseconds - medians[0]:.2f}' if one.name != 'empty handler' else ''
        print(f'| {one.name} | {milliseconds:.2f} | {more} |')


if __name__ == '__main__':
    command_line.run(main)
