"""The recipes for the real files, with all of their 5,270 classes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainer.config import files as config_files
from trainer.data.data_set import open_data_set
from trainer.monitoring import metric_writers
from trainer.training import dry_run
from trainer.training.loop import train

CONFIGS = Path(__file__).parents[3] / 'configs'
CLASSES = 5270
WITH_PRODUCTS = 12  # of these classes: the others are known by name alone

RECIPES = {  # parameters, first batch
    'kaggle_inception_v3': (66_039_222, '128 x 180 x 180 x 3'),  # as the thesis prints
    # of Keras's networks without top, the gates, the last layer
    'kaggle_efficientnet_v2_s': (20_331_360 + 1281 * CLASSES, '256 x 180 x 180 x 3'),
    'kaggle_fused_views': (
        23_587_712 + (2 * 2048 + 1) * 512 + 2049 * CLASSES,
        '128 x 4 x 180 x 180 x 3',
    ),
    'kaggle_ensemble': (
        20_331_360 + (2 * 1280 + 1) * 512 + 1281 * CLASSES,
        '128 x 4 x 180 x 180 x 3',
    ),
}
# The others take minutes to compile; docs/models.md tells what they did at their full size.
WITH_THEIR_BACKBONE = {'kaggle_inception_v3'}
SMALL = (
    'model.weights=null',
    'batch_size=4',
    'input.shuffle_records=8',
    'total_steps=2',
    'log_every_steps=1',
    'validation.every_steps=0',
)


@pytest.fixture(scope='module')
def folder(make_data_set: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    counts = [1] * WITH_PRODUCTS + [0] * (CLASSES - WITH_PRODUCTS)
    data = tmp_path_factory.mktemp('kaggle') / 'data'
    return make_data_set(data, counts=counts, validation_counts=counts, size=75)


def test_every_recipe_is_tested() -> None:
    assert {path.stem for path in CONFIGS.glob('kaggle_*.py')} == set(RECIPES)


@pytest.mark.parametrize('name', RECIPES)
def test_a_dry_run_shows_a_recipe_at_its_full_size(
    name: str, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dry_run.show(config_files.load(str(CONFIGS / f'{name}.py')), open_data_set(folder))
    shown = capsys.readouterr().out
    parameters, batch = RECIPES[name]
    assert f', {parameters:,} parameters' in shown
    assert f'of {CLASSES:,} classes, files checked' in shown
    assert f'batch:  uint8 {batch}, read and decoded' in shown


@pytest.mark.parametrize('name', RECIPES)
def test_a_recipe_takes_two_steps(name: str, folder: str, tmp_path: Path) -> None:
    side = 75 if name in WITH_THEIR_BACKBONE else 32
    flags = [*SMALL, f'input.height={side}', f'input.width={side}']
    if name not in WITH_THEIR_BACKBONE:
        flags.append('model.name=small_cnn')
    config = config_files.load(str(CONFIGS / f'{name}.py'), flags)
    train(config, open_data_set(folder), str(tmp_path / 'run'))
    losses = [row['loss'] for row in metric_writers.read_metrics(str(tmp_path / 'run'))]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert losses[0] == pytest.approx(np.log(CLASSES), rel=0.25)  # it knows nothing yet
