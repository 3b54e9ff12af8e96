"""Builds and runs images with the engine of this machine: docker, or podman without a daemon."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PREFIX = 'localhost/product-categories'
NETWORK = '--network=host'


@dataclass(frozen=True)
class Engine:
    """A command line like docker's.

    Attributes:
      command: Its program, such as podman.
    """

    command: str

    def build(self, name: str, *, tag: str, arguments: Sequence[str] = ()) -> None:
        """Builds docker/NAME.Dockerfile from the root of the repository."""
        # Podman's own format has no health checks.
        docker_format = ['--format=docker'] if Path(self.command).name == 'podman' else []
        file = f'--file=docker/{name}.Dockerfile'
        self._run('build', *docker_format, file, f'--tag={tag}', *arguments, '.')

    def run(self, image: str, *arguments: str, options: Sequence[str] = ()) -> str:
        """Runs a container until it ends. Returns its standard output.

        Raises:
          AssertionError: If its exit code is not 0; with its output.
        """
        return self._run('run', '--rm', NETWORK, *options, image, *arguments)

    def start(
        self, name: str, image: str, *arguments: str, options: Sequence[str] = ()
    ) -> 'Container':
        """Starts a container in the background."""
        self.remove(name)
        self._run('run', '--detach', f'--name={name}', NETWORK, *options, image, *arguments)
        return Container(self, name)

    def has_bridge(self, image: str) -> bool:
        """Whether a container of an image with Python may have a network of its own."""
        test = [self.command, 'run', '--rm', '--network=bridge', '--entrypoint=python']
        return subprocess.run([*test, image, '-c', ''], capture_output=True).returncode == 0

    def remove(self, name: str) -> None:
        """Removes a container, if it exists."""
        subprocess.run([self.command, 'rm', '--force', name], capture_output=True)

    def remove_labelled(self, label: str) -> None:
        """Removes all containers with a label."""
        for name in self._run('ps', '--all', '--quiet', f'--filter=label={label}').split():
            self.remove(name)

    def remove_image(self, image: str) -> None:
        """Removes an image, if it exists; layers that others share stay."""
        subprocess.run([self.command, 'rmi', image], capture_output=True)

    def inspect(self, image: str) -> dict[str, Any]:
        """Returns the description of an image."""
        [description] = json.loads(self._run('image', 'inspect', image))
        return description

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=3600
        )
        assert done.returncode == 0, (
            f'{self.command} {" ".join(arguments)} ended with {done.returncode}:\n'
            f'{done.stdout[-4000:]}\n{done.stderr[-4000:]}'
        )
        return done.stdout


@dataclass(frozen=True)
class Container:
    """A container that runs in the background."""

    engine: Engine
    name: str

    def check_health(self) -> bool:
        """Runs the health check of the container's image in it."""
        [container] = json.loads(self.engine._run('container', 'inspect', self.name))
        config = self.engine.inspect(container['Image'])
        health = config.get('Healthcheck') or config['Config']['Healthcheck']
        kind, *command = health['Test']
        assert kind == 'CMD', health
        done = subprocess.run(
            [self.engine.command, 'exec', self.name, *command], capture_output=True, timeout=60
        )
        return done.returncode == 0

    def logs(self) -> str:
        """Returns what the container printed."""
        done = subprocess.run(
            [self.engine.command, 'logs', self.name], capture_output=True, text=True
        )
        return done.stdout + done.stderr

    def stop(self) -> int:
        """Sends SIGTERM, waits, and removes the container. Returns its exit code."""
        self.engine._run('stop', '--time=30', self.name)
        [container] = json.loads(self.engine._run('container', 'inspect', self.name))
        self.engine.remove(self.name)
        return container['State']['ExitCode']


def find() -> Engine | None:
    """Returns the engine of CONTAINER_ENGINE, else docker or podman, whichever works here."""
    chosen = os.environ.get('CONTAINER_ENGINE')
    for command in [chosen] if chosen else ['docker', 'podman']:
        found = shutil.which(command)
        if found and subprocess.run([found, 'info'], capture_output=True).returncode == 0:
            return Engine(found)
    return None
