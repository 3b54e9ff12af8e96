"""Runs the real server in a process of its own."""

import dataclasses
import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PREDICT = '/v1/models/colours:predict'


@dataclasses.dataclass
class RunningServer:
    process: subprocess.Popen[str]
    ready: str

    @property
    def grpc(self) -> str:
        return self.ready.split('gRPC ')[1].split(',')[0]

    @property
    def rest(self) -> str:
        return self.ready.split('http://')[1].strip()

    def http(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Sends a request; returns the HTTP status and the JSON body."""
        status, content = self.raw_http(method, path, body, headers)
        return status, json.loads(content)

    def raw_http(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        if isinstance(body, dict):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        connection = http.client.HTTPConnection(self.rest, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def run_server(*flags: str) -> subprocess.CompletedProcess[str]:
    """Runs a server that is expected to exit."""
    return subprocess.run(
        [sys.executable, '-m', 'serving.model_server', *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )


def start_server(base: object, *flags: object, stderr: Any = None) -> RunningServer:
    """Starts a server on free ports and returns it when it is ready; `stderr` is a file."""
    process = subprocess.Popen(
        [
            *(sys.executable, '-m', 'serving.model_server', f'--model_base_path={base}'),
            *('--model_name=colours', '--port=0', '--rest_api_port=0', *map(str, flags)),
        ],
        cwd=ROOT,
        # On a single core, TensorFlow has one thread, and a request that waits would block it.
        env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '2', 'TF_NUM_INTEROP_THREADS': '4'},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    ready = process.stdout.readline()
    if not ready.startswith('ready: '):
        process.kill()
        pytest.fail(f'the server did not start: {ready}')
    return RunningServer(process, ready)
