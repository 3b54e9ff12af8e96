"""Gives programs that call `docker`, as Beam and cloudbuild.yaml do, the engine of this machine."""

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.images.engine import Engine

_LABEL = 'product-categories-test'


@contextmanager
def on_path(
    engine: Engine, folder: Path, *, environment: Mapping[str, str] | None = None
) -> Iterator[dict[str, str]]:
    """Yields an environment whose PATH has `docker`; at the end, removes the containers it started.

    Args:
      engine: What `docker` runs.
      folder: A folder for the program.
      environment: Variables that each container gets.
    """
    options = [f'--label={_LABEL}', *(f'--env={k}={v}' for k, v in (environment or {}).items())]
    program = folder / 'docker'
    program.write_text(
        '#!/bin/sh\n'
        'export BUILDAH_FORMAT=docker  # the format of podman itself has no health checks\n'
        f'if [ "$1" = run ]; then shift; set -- run {shlex.join(options)} "$@"; fi\n'
        f'exec {shlex.quote(engine.command)} "$@"\n'
    )
    program.chmod(0o755)
    try:
        yield {**os.environ, 'PATH': f'{folder}:{os.environ["PATH"]}'}
    finally:
        engine.remove_labelled(_LABEL)
