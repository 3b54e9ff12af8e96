"""A run, its export and the loaded export."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from tests.trainer.export.reference import SIZE
from trainer.config import InputConfig, ModelConfig, OptimizerConfig, TrainConfig
from trainer.data import data_set
from trainer.training.loop import train


@pytest.fixture(scope='session')
def workdir(data_folder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A short run."""
    folder = str(tmp_path_factory.mktemp('run') / 'workdir')
    config = TrainConfig(
        batch_size=8,
        total_steps=12,
        model=ModelConfig(channels=4),
        input=InputConfig(height=SIZE, width=SIZE),
        optimizer=OptimizerConfig(learning_rate=0.01),
    )
    train(config, data_set.open_data_set(data_folder), folder)
    return folder


@pytest.fixture(scope='session')
def exported(workdir: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version folder, written by the command line."""
    folder = tmp_path_factory.mktemp('models') / 'clothes' / '3'
    run = subprocess.run(
        [sys.executable, '-m', 'trainer.export', f'--workdir={workdir}', f'--output={folder}'],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return folder


@pytest.fixture(scope='session')
def loaded(exported: Path) -> Any:
    return tf.saved_model.load(str(exported))
