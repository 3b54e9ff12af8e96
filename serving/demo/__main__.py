r"""Runs the server of a model, the gateway and the page on this machine, until Ctrl-C.

For a demonstration: `make web` runs it. In production each program runs on its own
(docs/serving.md, docs/gateway.md).

--model is one version of a model, as trainer.export or serving.convert wrote it; others beside it
are not served. The index of similar products must be of the same version.

Examples:
  python -m serving.demo --model=run/models/product_categories/1 --data=run/shards \
    --index=run/similar --logs=run/web

Once all are ready, it prints what is served and the addresses:
  model product_categories version 1, SavedModel
  gateway http://127.0.0.1:8080, logs in run/web
  open http://127.0.0.1:8090 in a browser; Ctrl-C ends everything
"""

import signal
import sys
from pathlib import Path
from types import FrameType

from absl import flags

from catalog import command_line
from serving.demo import processes, programs, served_model
from serving.listening import listener

_MODEL = flags.DEFINE(
    command_line.LOCAL_FOLDER,
    'model',
    None,
    'Version folder of an exported or converted model, DIR/MODEL/VERSION.',
    required=True,
)
_DATA = flags.DEFINE(
    command_line.FOLDER,
    'data',
    None,
    'Folder of the shards that the model learned from, local or gs://: the gateway compares its '
    'answers with their class prior.',
)
_INDEX = flags.DEFINE(
    command_line.LOCAL_FOLDER, 'index', None, 'Folder of serving.index, for similar products.'
)
_LOGS = flags.DEFINE(
    command_line.LOCAL_PATH, 'logs', None, 'Folder of the logs, one a program.', required=True
)
_PORT = flags.DEFINE_integer('port', 8090, 'Port of the page.', lower_bound=1, upper_bound=65535)
_GATEWAY_PORT = flags.DEFINE_integer(
    'gateway_port', 0, 'Port of the gateway; 0 lets the system choose one.'
)


def main(argv: list[str]) -> None:
    """Runs until SIGTERM or Ctrl-C, and then ends with exit code 0."""
    del argv
    model = served_model.read(_MODEL.value)
    runtime = model.runtime
    for flag, port in (('--port', _PORT.value), ('--gateway_port', _GATEWAY_PORT.value)):
        listener.bind('127.0.0.1', port, flag=flag).close()  # before a log is overwritten
    misfit = model.misfit(_INDEX.value) if _INDEX.value else None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    demo = programs.Demo(
        model=model,
        data=_DATA.value,
        index=None if misfit else _INDEX.value,
        port=_PORT.value,
        gateway_port=_GATEWAY_PORT.value,
    )
    with processes.running(Path(_LOGS.value)) as started:
        addresses = programs.start(demo, started)
        print(f'model {model.name} version {model.version}, {runtime}')
        if misfit:
            print(f'no similar products: {misfit}')
        print(f'gateway {addresses.gateway}, logs in {_LOGS.value}')
        print(f'open {addresses.page} in a browser; Ctrl-C ends everything', flush=True)
        started.wait()


def _end(number: int, frame: FrameType | None) -> None:
    for ignored in (signal.SIGTERM, signal.SIGINT):  # while the programs end
        signal.signal(ignored, signal.SIG_IGN)
    print('stopping', flush=True)
    sys.exit(0)


if __name__ == '__main__':
    command_line.run(main)
