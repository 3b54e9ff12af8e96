import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import serving.web
from serving.index import building
from tests.serving.colours import BLUE, RED
from tests.serving.gateway.running import RunningGateway, start_gateway
from tests.serving.products import Product, write_data_set
from tests.serving.running import RunningServer

SCRIPT = Path(serving.web.__file__).with_name('script.py')


@pytest.fixture(scope='session')
def index(
    server: RunningServer, served_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An index of a red and a blue product."""
    del server  # has saved the model
    folder = tmp_path_factory.mktemp('index')
    products = [Product(4711, [RED]), Product(4712, [BLUE], label=2)]
    building.build(
        model=str(served_folder / '3'),
        data=write_data_set(folder / 'data', products),
        output=str(folder / 'similar'),
        thumbnail_pixels=160,
    )
    return folder / 'similar'


@pytest.fixture(scope='session')
def gateway(
    server: RunningServer, index: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """A gateway with an index, that takes photos of at most 1 MiB, and 3 of a product."""
    running = start_gateway(
        server.grpc,
        tmp_path_factory.mktemp('gateway') / 'log',
        *('--max_photo_mb=1', '--max_photos=3', f'--index={index}'),
    )
    yield running
    running.kill()


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Opens the page of a gateway, as a visitor does."""
    monkeypatch.setitem(sys.modules, '__main__', sys.modules['__main__'])  # Streamlit replaces it

    def call(*arguments: str) -> AppTest:
        monkeypatch.setattr('sys.argv', [str(SCRIPT), *arguments])
        return AppTest.from_file(SCRIPT, default_timeout=120).run()

    return call
