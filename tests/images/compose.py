"""Brings up compose.yaml with docker compose or podman-compose."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.images.engine import ROOT, Engine

FILES = ('compose.yaml', 'compose.stand_in.yaml')
HOST_NETWORK = 'tests/images/compose.host_network.yaml'
PROJECT = 'product-categories-test'


def command(engine: Engine) -> list[str]:
    """The program: COMPOSE of the environment, else docker compose or podman-compose."""
    if 'COMPOSE' in os.environ:
        return shlex.split(os.environ['COMPOSE'])
    if Path(engine.command).name == 'podman':
        assert shutil.which('podman-compose'), 'podman-compose must be installed'
        return ['podman-compose']
    return [engine.command, 'compose']


@contextmanager
def running(engine: Engine, models: Path, *, gateway: str) -> Iterator[str]:
    """Runs the services with the stand-in for TensorFlow Serving. Yields which network they have.

    Args:
      engine: The engine of this machine.
      models: The folder of the exported models.
      gateway: The image of the gateway, with which the network is tried.
    """
    network = 'bridge' if engine.has_bridge(gateway) else 'host'
    files = [*FILES, *([HOST_NETWORK] if network == 'host' else [])]
    base = [
        *command(engine),
        *(f'--project-name={PROJECT}', *(part for file in files for part in ('--file', file))),
    ]
    environment = {**os.environ, 'MODELS': str(models)}
    try:
        _run([*base, 'up', '--detach', '--build'], environment)
        yield network
    except AssertionError:
        logs = subprocess.run([*base, 'logs'], cwd=ROOT, env=environment, capture_output=True)
        print(logs.stdout.decode()[-6000:], logs.stderr.decode()[-6000:])
        raise
    finally:
        subprocess.run([*base, 'down', '--rmi=all'], cwd=ROOT, env=environment, capture_output=True)


def _run(arguments: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=3600
    )
    assert done.returncode == 0, f'{done.stdout[-3000:]}\n{done.stderr[-3000:]}'
