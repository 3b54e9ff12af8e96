from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.colours import save_version
from tests.serving.gateway.running import CONFIG, RunningGateway, start_gateway
from tests.serving.gateway.slow_model import save_slow_version
from tests.serving.running import RunningServer, start_server


@pytest.fixture(scope='session')
def hold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that stops the model `slow` while it exists."""
    return tmp_path_factory.mktemp('hold') / 'hold'


@pytest.fixture(scope='session')
def models_folder(tmp_path_factory: pytest.TempPathFactory, hold: Path) -> Path:
    """The folders of the models `colours`, of version 3, and `slow`."""
    folder = tmp_path_factory.mktemp('models')
    save_version(folder / 'colours', 3)
    (folder / 'slow').mkdir()
    save_slow_version(folder / 'slow', 1, hold=hold)
    return folder


@pytest.fixture(scope='session')
def models(models_folder: Path) -> Iterator[RunningServer]:
    """A server of both models."""
    folder = models_folder
    config = folder / 'models.config'
    config.write_text(CONFIG.format(colours=folder / 'colours', slow=folder / 'slow'))
    server = start_server(folder, f'--model_config_file={config}')
    yield server
    server.kill()


@pytest.fixture(scope='session')
def gateway(
    models: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """A gateway with default limits before the model `colours`."""
    running = start_gateway(models.grpc, tmp_path_factory.mktemp('gateway') / 'log')
    yield running
    running.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RunningGateway]]:
    """Starts gateways, and kills the remaining ones at the end."""
    running: list[RunningGateway] = []

    def call(target: str, *flags: str, **options: Any) -> RunningGateway:
        log_file = tmp_path / f'gateway-{len(running)}.log'
        running.append(start_gateway(target, log_file, *flags, **options))
        return running[-1]

    yield call
    for one in running:
        one.kill()
