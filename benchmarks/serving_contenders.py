"""The contenders of benchmarks.serving: servers on their cores, and how a client asks them."""

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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np

from benchmarks import serving_load
from benchmarks.serving_load import Load, Send
from serving.protocol import messages, tensors

_BATCHING = """
max_batch_size { value: 16 }
num_batch_threads { value: 1 }
max_enqueued_batches { value: 8 }
"""
_BOUNDARY = 'photo'


@dataclass(frozen=True)
class Contender:
    """A server that runs, or a model in a process.

    Attributes:
      name: Its name in the table.
      load: Measures a load, given the number of clients and its length in seconds.
      pid: Of the server's process.
    """

    name: str
    load: Callable[[int, float], Load]
    pid: int

    def peak_mb(self) -> float:
        """Returns the peak memory of the process so far, in MB."""
        status = Path(f'/proc/{self.pid}/status').read_text()
        found = re.search(r'VmHWM:\s+(\d+)', status)
        return int(found[1]) / 1024 if found else 0.0


class Contenders(contextlib.ExitStack):
    """Starts contenders, and ends them together.

    Args:
      folder: That of the models.
      photos: Photos to send.
      cores: Cores of the servers, as for taskset.
    """

    def __init__(self, folder: Path, photos: list[bytes], cores: str) -> None:
        super().__init__()
        self._folder = folder
        self._photos = photos
        self._cores = cores

    def thesis(self, name: str, method: str) -> Contender:
        """Starts FastAPI around a method of the Keras model."""
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        process, _ = self._start(
            'benchmarks.serving_thesis', str(self._folder / 'workdir'), str(port), method
        )
        while True:
            with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port)):
                break
            time.sleep(0.1)
        connect = _post(port, '/predict', lambda photo: photo, 'application/octet-stream')
        return self._contender(name, connect, process.pid)

    def bare(self, name: str, model: Path) -> Contender:
        """Opens a model in a process."""
        process, _ = self._start('benchmarks.serving_bare', str(model), str(self._folder))
        assert process.stdin
        assert process.stdout
        stdin, stdout = process.stdin, process.stdout

        def load(clients: int, seconds: float) -> Load:
            print(clients, seconds, file=stdin, flush=True)
            return Load(**json.loads(stdout.readline()))

        return Contender(name, load, process.pid)

    def handler(self, name: str, model: Path | None = None) -> Contender:
        """Starts a gRPC server with a handler that does nothing, or runs a model."""
        path = [str(model)] if model else []
        process, ready = self._start('benchmarks.serving_handler', str(self._folder), *path)
        return self._contender(name, _grpc(_ports(ready)[0]), process.pid)

    def servers(self, name: str, model: Path) -> list[Contender]:
        """Starts a server of a model, and a gateway before it: gRPC, REST, gateway."""
        folder = Path(self.enter_context(tempfile.TemporaryDirectory()))
        batching = folder / 'batching.txt'
        batching.write_text(_BATCHING)
        server, ready = self._start(
            *('serving.model_server', f'--model_base_path={model.parent}', '--model_name=bench'),
            *('--port=0', '--rest_api_port=0', '--enable_batching'),
            f'--batching_parameters_file={batching}',
        )
        over_grpc, over_rest = _ports(ready)
        gateway, ready = self._start(
            'serving.gateway', f'--target=127.0.0.1:{over_grpc}', '--model=bench', '--port=0'
        )
        rest = _post(over_rest, '/v1/models/bench:predict', _json, 'application/json')
        form = f'multipart/form-data; boundary={_BOUNDARY}'
        predict = _post(_ports(ready)[0], '/predict', _multipart, form)
        return [
            self._contender(f'gRPC: {name}', _grpc(over_grpc), server.pid),
            self._contender(f'REST: {name}', rest, server.pid),
            self._contender(f'gateway: {name}', predict, gateway.pid),
        ]

    def _start(self, *command: str) -> tuple[subprocess.Popen[str], str]:
        """Starts a process; returns it and the line that says that it is ready."""
        process = subprocess.Popen(
            ['taskset', '-c', self._cores, sys.executable, '-m', *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'},
        )
        self.callback(process.wait)
        self.callback(process.terminate)
        assert process.stdout
        for line in process.stdout:
            if line.startswith('ready'):
                return process, line
        raise RuntimeError(f'{command[0]} did not start')

    def _contender(self, name: str, connect: Callable[[], Send], pid: int) -> Contender:
        def load(clients: int, seconds: float) -> Load:
            return serving_load.run(connect, self._photos, clients=clients, seconds=seconds)

        return Contender(name, load, pid)


def _ports(ready: str) -> list[int]:
    return [int(port) for port in re.findall(r'127\.0\.0\.1:(\d+)', ready)]


def _post(
    port: int, path: str, body: Callable[[bytes], bytes], content_type: str
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
