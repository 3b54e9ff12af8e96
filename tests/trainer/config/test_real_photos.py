"""The recipe for photos in folders of any tree."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainer.config import files
from trainer.data.data_set import open_data_set
from trainer.models.model import build_model
from trainer.optim import parameter_groups
from trainer.training.loop import train
from trainer.workdir import metrics_file

RECIPE = str(Path(__file__).parents[3] / 'configs' / 'real_photos.py')
SMALL = (
    'model.weights=null',
    'batch_size=4',
    'input.height=32',
    'input.width=32',
    'input.sizes=[]',
    'total_steps=2',
    'log_every_steps=1',
)


def test_the_recipe_trains_on_photos_of_another_tree(
    make_data_set: Callable[..., str], tmp_path: Path
) -> None:
    data = make_data_set(tmp_path / 'data', counts=(5, 4, 3), size=40)
    quick = ['model.name=small_cnn', 'optimizer.groups=[]']  # Lite0 takes a minute to compile
    train(files.load(RECIPE, [*SMALL, *quick]), open_data_set(data), str(tmp_path / 'run'))
    losses = [row['loss'] for row in metrics_file.read_metrics(str(tmp_path / 'run'))]
    assert len(losses) == 2
    assert np.isfinite(losses).all()


@pytest.mark.parametrize('name', ['efficientnet_lite0', 'efficientnet_lite2'])
def test_the_recipe_freezes_the_first_blocks_and_depthwise_kernels(name: str) -> None:
    config = files.load(RECIPE, [*SMALL, f'model.name={name}'])
    model = build_model(config.model, num_classes=3, input_shape=(32, 32, 3))
    group_of = parameter_groups.assign_weights(model, config.optimizer.groups)
    parameter_groups.freeze_layers(model, group_of)
    backbone = model.get_layer(name)
    trained = [layer.name for layer in backbone.layers if layer.weights and layer.trainable]
    assert trained[:3] == ['block7_expand', 'block7_expand_norm', 'block7_depthwise_norm']
    assert trained[-1] == 'conv_head_norm'
