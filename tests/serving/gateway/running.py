"""Runs the real gateway in a process of its own."""

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.running import ROOT
from tests.serving.slow_requests import wait_for

CONFIG = """model_config_list {{
  config {{ name: "colours" base_path: "{colours}" model_platform: "tensorflow" }}
  config {{ name: "slow" base_path: "{slow}" model_platform: "tensorflow" }}
}}"""


@dataclasses.dataclass
class RunningGateway:
    process: subprocess.Popen[str]
    address: str
    log_file: Path
    verify: Any = True

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=120, verify=self.verify, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.get(path, **options)

    def predict(self, photo: bytes, name: str = 'photo.jpg', **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.post('/predict', files={'file': (name, photo)}, **options)

    def classify(self, photos: Mapping[str, bytes], **options: Any) -> httpx.Response:
        with self.client() as client:
            files = [('files', photo) for photo in photos.items()]
            return client.post('/v1/products:classify', files=files, **options)

    def metric(self, name: str) -> float:
        """The value of a metric with its labels, as Prometheus writes it; 0 without one."""
        lines = self.get('/metrics').text.splitlines()
        found = [line.rpartition(' ')[2] for line in lines if line.startswith(f'{name} ')]
        return float(found[0]) if found else 0.0

    def logged(self, request_id: str) -> dict[str, Any]:
        """The line of a request in the log, which follows the response."""
        wait_for(lambda: f'"id": "{request_id}"' in self.log_file.read_text())
        lines = [json.loads(line) for line in self.log_file.read_text().splitlines()]
        [found] = [line for line in lines if line.get('id') == request_id]
        return found

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def start_gateway(target: str, log_file: Path, *flags: str, verify: Any = True) -> RunningGateway:
    """Starts a gateway on a free port and returns it when it accepts requests."""
    with log_file.open('w') as log:
        process = subprocess.Popen(
            [
                *(sys.executable, '-m', 'serving.gateway', f'--target={target}'),
                *('--port=0', '--model=colours', *flags),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    ready = process.stdout.readline()
    if not ready.startswith('ready: gateway '):
        process.kill()
        pytest.fail(f'the gateway did not start: {ready} {log_file.read_text()}')
    address = ready.removeprefix('ready: gateway ').split(',')[0]
    return RunningGateway(process, address.replace('127.0.0.1', 'localhost'), log_file, verify)


def run_gateway(*flags: str) -> subprocess.CompletedProcess[str]:
    """Runs a gateway that is expected to exit."""
    return subprocess.run(
        [sys.executable, '-m', 'serving.gateway', *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
