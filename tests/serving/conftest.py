from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.runtimes.saved_model import SavedModel
from tests.serving.colours import save_version
from tests.serving.running import RunningServer, start_server


@pytest.fixture
def start() -> Iterator[Callable[..., RunningServer]]:
    """Starts servers, and kills the remaining ones at the end."""
    running: list[RunningServer] = []

    def call(*args: object, stderr: Any = None) -> RunningServer:
        running.append(start_server(*args, stderr=stderr))
        return running[-1]

    yield call
    for server in running:
        server.kill()


@pytest.fixture(scope='session')
def served_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the versions that `served` serves."""
    return tmp_path_factory.mktemp('colours')


@pytest.fixture(scope='session')
def served(served_folder: Path) -> Iterator[tuple[RunningServer, Any]]:
    """A server of version 3, and the module that it was saved from."""
    module = save_version(served_folder, 3)
    server = start_server(served_folder, '--enable_grpc_healthcheck_service')
    yield server, module
    server.kill()


@pytest.fixture(scope='session')
def server(served: tuple[RunningServer, Any]) -> RunningServer:
    """A server for tests that do not change its state."""
    return served[0]


@pytest.fixture(scope='session')
def module(served: tuple[RunningServer, Any]) -> Any:
    """The served model, in this process: gives the expected outputs."""
    return served[1]


@pytest.fixture(scope='session')
def colours_version(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A version folder of the model."""
    base = tmp_path_factory.mktemp('models') / 'colours'
    base.mkdir()
    save_version(base, 1)
    return str(base / '1')


@pytest.fixture(scope='session')
def embed(colours_version: str) -> Iterator[Callable[..., Any]]:
    """Embeds pictures with it: bytes of N pictures -> float32 [N, 3]."""
    loaded = SavedModel(colours_version)

    def call(*pictures: bytes) -> Any:
        inputs = {'image_bytes': np.array(pictures, object)}
        return loaded.run('embedding', inputs)['embedding']

    yield call
    loaded.close()
