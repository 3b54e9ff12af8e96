"""Runs a registry of images on this machine: Debian's package docker-registry."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = 'docker-registry'
# Docker pushes to localhost without TLS; podman, if registries.conf has it as insecure.
ADDRESS = 'localhost:5000'
_CONFIG = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: '{address}'}}
"""


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Runs it; yields its URL.

    Args:
      folder: An empty folder for the images and the log.
    """
    config = folder / 'config.yml'
    config.write_text(_CONFIG.format(folder=folder / 'store', address=ADDRESS))
    with (folder / 'log').open('wb') as log:
        process = subprocess.Popen([PROGRAM, 'serve', str(config)], stdout=log, stderr=log)
    try:
        yield f'http://{ADDRESS}'
    finally:
        process.terminate()
        process.wait()
