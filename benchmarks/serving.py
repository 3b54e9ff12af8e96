r"""Benchmarks servers of one model: InceptionV3 with a 1x1 convolution and 5,270 classes.

The weights are random: the speed does not depend on them. Photos are sent as bytes by 1 and by 16
clients, each of which sends the next photo when it has the last answer. Servers run on the same
cores (--server_cores), the clients on the others.
  thesis            FastAPI around model.predict
  predict_on_batch  FastAPI around model.predict_on_batch
  bare: ...         the model called without a server, from as many threads as there are clients
  REST: ..., gRPC:  serving.model_server with batching
  gateway: ...      serving.gateway before that server, on the same cores

Examples:
  python -m benchmarks.serving --output=run/bench
  python -m benchmarks.serving --output=run/bench --seconds=5 --models='SavedModel,OpenVINO int8'
"""

import base64
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from absl import flags

from benchmarks import serving_files, serving_load
from benchmarks.serving_load import Load, Send
from catalog import command_line
from serving.protocol import messages, tensors

_OUTPUT = flags.DEFINE_string('output', None, 'Folder of the models, made once.', required=True)
_SECONDS = flags.DEFINE_float('seconds', 10, 'Length of each load.')
_CORES = flags.DEFINE_string('server_cores', '0', 'Cores of the servers, as for taskset.')
_CLIENT_CORES = flags.DEFINE_string('client_cores', '1', 'Cores of the clients.')
_MODELS = flags.DEFINE_list(
    'models', ['SavedModel', *serving_files.CONVERSIONS], 'Models to serve, by name.'
)

CLIENTS = (1, 16)
_BASELINE = 'predict_on_batch'
_BOUNDARY = 'photo'


@dataclass(frozen=True)
class Row:
    """A contender: its loads by number of clients, and its peak memory in MB."""

    name: str
    loads: list[Load]
    memory_mb: float


@contextlib.contextmanager
def _process(*command: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Runs a server on its cores; yields it and the line that says that it is ready."""
    process = subprocess.Popen(
        ['taskset', '-c', _CORES.value, sys.executable, '-m', *command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'},
    )
    assert process.stdout
    try:
        line = next((line for line in process.stdout if line.startswith('ready')), None)
        if line is None:
            raise RuntimeError(f'{command[0]} did not start')
        yield process, line
    finally:
        process.terminate()
        process.wait()


def _peak_mb(pid: int) -> float:
    status = Path(f'/proc/{pid}/status').read_text()
    found = re.search(r'VmHWM:\s+(\d+)', status)
    return int(found[1]) / 1024 if found else 0.0


def _post(
    port: int, path: str, body: Callable[[bytes], bytes], content_type: str = 'application/json'
) -> Callable[[], Send]:
    headers = {'Content-Type': content_type}

    def connect() -> Send:
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=120)

        def send(photo: bytes) -> bytes:
            try:
                connection.request('POST', path, body(photo), headers)
                response = connection.getresponse()
            except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
                connection.close()  # the server closed it while other clients started
                connection.request('POST', path, body(photo), headers)
                response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                raise RuntimeError(f'{response.status}: {content[:200]!r}')
            return content

        return send

    return connect


def _json(photo: bytes) -> bytes:
    return b'{"instances": [{"b64": "%s"}]}' % base64.b64encode(photo)


def _multipart(photo: bytes) -> bytes:
    return (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n'
        'Content-Type: image/jpeg\r\n\r\n'
    ).encode() + b'%s\r\n--%s--\r\n' % (photo, _BOUNDARY.encode())


def _grpc(port: int) -> Callable[[], Send]:
    def connect() -> Send:
        channel = grpc.insecure_channel(
            f'127.0.0.1:{port}', options=[('grpc.use_local_subchannel_pool', 1)]
        )
        call = channel.unary_unary(
            '/tensorflow.serving.PredictionService/Predict',
            request_serializer=lambda message: message.SerializeToString(),
        )

        def send(photo: bytes) -> object:
            message = messages.PredictRequest()
            message.model_spec.name = 'bench'
            tensors.write_array(message.inputs['image_bytes'], np.array([photo], object))
            return call(message, timeout=120)

        return send

    return connect


def _load(connect: Callable[[], Send], photos: list[bytes]) -> list[Load]:
    return [
        serving_load.run(connect, photos, clients=clients, seconds=_SECONDS.value)
        for clients in CLIENTS
    ]


def thesis(folder: Path, photos: list[bytes], method: str) -> Row:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    command = ('benchmarks.serving_thesis', str(folder / 'workdir'), str(port), method)
    with _process(*command) as (process, _):
        while True:
            with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port)):
                break
            time.sleep(0.1)
        loads = _load(_post(port, '/predict', lambda photo: photo), photos)
        return Row('thesis' if method == 'predict' else method, loads, _peak_mb(process.pid))


def bare(folder: Path, name: str, model: Path) -> Row:
    counts = ','.join(map(str, CLIENTS))
    before = ['taskset', '-c', _CORES.value, sys.executable, '-m', 'benchmarks.serving_bare']
    done = subprocess.run(
        [*before, str(model), str(folder), str(_SECONDS.value), counts],
        capture_output=True,
        text=True,
        check=True,
    )
    loads = [Load(**fields) for fields in json.loads(done.stdout.splitlines()[-1])]
    return Row(f'bare: {name}', loads, float('nan'))


def ours(name: str, model: Path, photos: list[bytes]) -> list[Row]:
    with tempfile.NamedTemporaryFile('w', suffix='.txt') as batching:
        batching.write('max_batch_size { value: 16 }\nnum_batch_threads { value: 1 }\n')
        batching.write('max_enqueued_batches { value: 8 }\n')
        batching.flush()
        command = (
            'serving.model_server', f'--model_base_path={model.parent}', '--model_name=bench',
            '--port=0', '--rest_api_port=0', '--enable_batching',
            f'--batching_parameters_file={batching.name}',
        )  # fmt: skip
        with _process(*command) as (process, ready):
            ports = [int(port) for port in re.findall(r'127\.0\.0\.1:(\d+)', ready)]
            connects = {
                'gRPC': _grpc(ports[0]),
                'REST': _post(ports[1], '/v1/models/bench:predict', _json),
            }
            loads = {way: _load(connect, photos) for way, connect in connects.items()}
            memory = _peak_mb(process.pid)
            rows = [Row(f'{way}: {name}', found, memory) for way, found in loads.items()]
            return [*rows, through_gateway(name, ports[0], photos)]


def through_gateway(name: str, port: int, photos: list[bytes]) -> Row:
    """Measures `POST /predict` of a gateway before the server at a gRPC port."""
    with _process('serving.gateway', f'--target=127.0.0.1:{port}', '--model=bench', '--port=0') as (
        process,
        ready,
    ):
        address = re.search(r'127\.0\.0\.1:(\d+)', ready)
        assert address
        form = f'multipart/form-data; boundary={_BOUNDARY}'
        connect = _post(int(address[1]), '/predict', _multipart, form)
        return Row(f'gateway: {name}', _load(connect, photos), _peak_mb(process.pid))


def print_table(rows: list[Row]) -> None:
    """Prints each contender, and how it compares with predict_on_batch."""
    base = next(row for row in rows if row.name == _BASELINE)
    print('\n| | clients | requests/s | p50 ms | p99 ms | rate | p99 | peak MB |')
    print('|---|---|---|---|---|---|---|---|')
    for row in rows:
        for clients, load, other in zip(CLIENTS, row.loads, base.loads, strict=True):
            print(
                f'| {row.name} | {clients} | {load.rate:.1f} | {load.p50:.1f} | {load.p99:.1f} | '
                f'{load.rate / other.rate:.2f}x | {load.p99 / other.p99:.2f}x | '
                f'{row.memory_mb:,.0f} |'
            )
    print(f'\nrate and p99: compared with {_BASELINE} with as many clients')
    by_name = {row.name: row for row in rows}
    print(
        '\n| one client, p50 | model ms | gRPC adds | REST adds | REST behind gRPC | gateway adds |'
    )
    print('|---|---|---|---|---|---|')
    for name in _MODELS.value:
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
    rows = [thesis(folder, photos, 'predict'), thesis(folder, photos, 'predict_on_batch')]
    for name in _MODELS.value:
        print(f'measuring: {name}', flush=True)
        rows += [bare(folder, name, models[name]), *ours(name, models[name], photos)]
    print_table(rows)


if __name__ == '__main__':
    command_line.run(main)
