"""Settings of all tests (Hypothesis's examples, TensorFlow's kernels) and shared fixtures."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import mongodb
from tests.shop import CATEGORY_IDS

# As in `trainer.startup`, for tests that call a library instead of a command line.
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')

# No deadlines and no check of the speed of drawing, because a busy machine is not an error. The
# suite uses the same examples each time; `make fuzz` draws new ones, for about an hour.
settings.register_profile(
    'default',
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    'fuzz', max_examples=60_000, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'default'))


@pytest.fixture(scope='session')
def categories_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The category tree of the shop."""
    path = tmp_path_factory.mktemp('tree') / 'category_names.csv'
    rows = [
        f'{category_id},"LEVEL, {number // 2}",MIDDLE,LEAF {number}'
        for number, category_id in enumerate(CATEGORY_IDS)
    ]
    header = 'category_id,category_level1,category_level2,category_level3'
    path.write_text('\n'.join([header, *rows]) + '\n')
    return path


@pytest.fixture(scope='session')
def exported_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version folder of a model that is trained for a few steps, of images of 28 pixels."""
    from tests.trainer.conftest import make_data_set  # loads TensorFlow, which other tests need not
    from tests.trainer.exported import export_model

    folder = tmp_path_factory.mktemp('exported')
    return export_model(make_data_set(folder / 'data'), folder)


@pytest.fixture
def write_bson(tmp_path: Path) -> Callable[..., Path]:
    """Writes documents to a BSON file."""

    def write(documents: Sequence[bytes], name: str = 'train.bson') -> Path:
        path = tmp_path / name
        path.write_bytes(b''.join(documents))
        return path

    return write


@pytest.fixture(scope='session')
def mongodb_server() -> Iterator[str]:
    """The address of a MongoDB server on this machine."""
    with mongodb.running_server() as (uri, _):
        yield uri
