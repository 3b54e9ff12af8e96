"""The recipes for the real files, with all of their 5,270 classes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainer import boards, config_files
from trainer.data_set import open_data_set
from trainer.model import count_parameters
from trainer.train import train

CONFIGS = Path(__file__).parents[2] / 'configs'
CLASSES = 5270
WITH_PRODUCTS = 12  # of these classes: the others are known by name alone


def test_a_recipe_takes_two_steps(make_data_set: Callable[..., str], tmp_path: Path) -> None:
    counts = [1] * WITH_PRODUCTS + [0] * (CLASSES - WITH_PRODUCTS)
    folder = make_data_set(tmp_path / 'data', counts=counts, validation_counts=counts, size=75)
    flags = [
        'model.weights=null',
        'batch_size=4',
        'input.height=75',
        'input.width=75',
        'input.shuffle_records=8',
        'total_steps=2',
        'log_every_steps=1',
    ]
    config = config_files.load(str(CONFIGS / 'kaggle_inception_v3.py'), flags)
    train(config, open_data_set(folder), str(tmp_path / 'run'))
    losses = [row['loss'] for row in boards.read_metrics(str(tmp_path / 'run'))]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert losses[0] == pytest.approx(np.log(CLASSES), rel=0.25)  # it knows nothing yet


@pytest.mark.parametrize(
    ('name', 'parameters'),
    [
        ('kaggle_inception_v3', 66_039_222),
        ('kaggle_efficientnet_v2_s', 20_331_360 + 1281 * CLASSES),  # Keras's without top
    ],
)
def test_a_recipe_builds_at_its_full_size(name: str, parameters: int) -> None:
    config = config_files.load(str(CONFIGS / f'{name}.py'))
    shape = (config.input.height, config.input.width, 3)
    assert count_parameters(config.model, num_classes=CLASSES, input_shape=shape) == parameters
