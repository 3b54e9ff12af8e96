"""A data set, a model that is trained on it, and its conversions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from serving.convert.conversion import convert
from serving.convert.options import Conversion
from tests.trainer.conftest import make_data_set
from trainer.config import InputConfig, ModelConfig, OptimizerConfig, TrainConfig
from trainer.data import data_set
from trainer.export import saved_model
from trainer.training.loop import train

SIZE = 28  # pixels


@pytest.fixture(scope='session')
def shards(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four categories: 80 products to train on, 60 to validate on."""
    folder = tmp_path_factory.mktemp('shards')
    return make_data_set(folder, validation_counts=[15, 15, 15, 15])


@pytest.fixture(scope='session')
def exported(shards: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model."""
    folder = tmp_path_factory.mktemp('trained')
    config = TrainConfig(
        batch_size=16,
        total_steps=200,
        model=ModelConfig(channels=8),
        input=InputConfig(height=SIZE, width=SIZE),
        optimizer=OptimizerConfig(learning_rate=0.005),
    )
    workdir = str(folder / 'workdir')
    train(config, data_set.open_data_set(shards), workdir)
    saved_model.export(workdir=workdir, output=str(folder / 'shop' / '1'), top_k=3, threshold=0.5)
    return folder / 'shop' / '1'


@pytest.fixture(scope='session')
def converted(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Converts the trained model for a runtime, once for each."""
    folders: dict[str, Path] = {}

    def call(runtime: str) -> Path:
        if runtime not in folders:
            folder = tmp_path_factory.mktemp(runtime) / 'shop' / '1'
            convert(
                Conversion(str(exported), str(folder), runtime, 'fp32'),
                report=lambda line: None,
            )
            folders[runtime] = folder
        return folders[runtime]

    return call
