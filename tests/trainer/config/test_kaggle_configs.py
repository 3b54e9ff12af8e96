"""The configs for the Kaggle data set, with all of its 5,270 classes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainer.config import files
from trainer.data.data_set import open_data_set
from trainer.training import dry_run
from trainer.training.loop import train
from trainer.workdir import metrics_file

FOLDER = Path(__file__).parents[3] / 'configs'
CLASSES = 5270
WITH_PRODUCTS = 12  # classes that have products

CONFIGS = {  # parameters, first batch
    'kaggle_inception_v3': (66_039_222, '128 x 180 x 180 x 3'),  # as in the thesis
    # Keras's network without top, the gates, the last layer
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
# The others take minutes to compile; docs/models.md has the results of runs at full size.
WITH_OWN_BACKBONE = {'kaggle_inception_v3'}
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


def test_every_kaggle_config_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob('kaggle_*.py')} == set(CONFIGS)


@pytest.mark.parametrize('name', CONFIGS)
def test_a_dry_run_describes_a_kaggle_config_at_full_size(
    name: str, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dry_run.show(files.load(str(FOLDER / f'{name}.py')), open_data_set(folder))
    shown = capsys.readouterr().out
    parameters, batch = CONFIGS[name]
    assert f', {parameters:,} parameters' in shown
    assert f'in {CLASSES:,} classes, files checked' in shown
    assert f'batch:  uint8 {batch}, read and decoded' in shown


@pytest.mark.parametrize('name', CONFIGS)
def test_a_kaggle_config_trains_two_steps(name: str, folder: str, tmp_path: Path) -> None:
    side = 75 if name in WITH_OWN_BACKBONE else 32
    flags = [*SMALL, f'input.height={side}', f'input.width={side}']
    if name not in WITH_OWN_BACKBONE:
        flags.append('model.name=small_cnn')
    config = files.load(str(FOLDER / f'{name}.py'), flags)
    train(config, open_data_set(folder), str(tmp_path / 'run'))
    losses = [row['loss'] for row in metrics_file.read_metrics(str(tmp_path / 'run'))]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert losses[0] == pytest.approx(np.log(CLASSES), rel=0.25)  # of a uniform prediction
