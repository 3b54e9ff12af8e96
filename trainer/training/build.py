"""Builds what a run trains, on its devices: model, optimizer, batches, variables of the loop.

Gives a run the weights of another one. Which: `start_config`.
"""

import contextlib
import dataclasses
import re
from collections.abc import Iterator

import keras
import tensorflow as tf

from catalog.errors import UserError
from trainer.config import TrainConfig
from trainer.config.loop import StepConfig
from trainer.config.model import StartConfig
from trainer.data import feature_shards as feature_source
from trainer.data import input_pipeline, product_pipeline
from trainer.data.data_set import DataSet
from trainer.distribution.workers import Cluster
from trainer.models import backbone_file, batch_norm, heads, weights
from trainer.models.model import build_model, feature_model
from trainer.optim import ema
from trainer.optim.optimizers import build_optimizer
from trainer.optim.plateau import Plateau
from trainer.training import distillation as teacher
from trainer.training.state import Best, State, Window
from trainer.workdir import checkpoint

_POLICIES = {'float32': 'float32', 'float16': 'mixed_float16', 'bfloat16': 'mixed_bfloat16'}


def build_state(
    config: TrainConfig, data: DataSet, *, strategy: tf.distribute.Strategy, cluster: Cluster
) -> State:
    """The state of a run before its first step; the config's seed decides every weight."""
    keras.utils.set_random_seed(config.seed)
    pipeline = product_pipeline if config.model.fusion.is_on else input_pipeline
    batches = pipeline.train_batches(data, config, worker=cluster.index, num_workers=cluster.count)
    iterator = iter(batches)
    with strategy.scope():
        with _computing_as(config.step):
            model = _build_model(config, num_classes=data.num_classes)
            if config.input.features:
                _freeze_backbone(model, data)
            branched = _with_heads(model, data) if config.loss.levels == 'heads' else None
            taught_by = teacher.restore(config, data)
        plateau = Plateau() if config.optimizer.schedule.name == 'plateau' else None
        optimizer = _build_optimizer(config, model=branched or model, plateau=plateau)
        means = ema.create_averages(model) if config.step.ema_decay else []
    return State(model, optimizer, iterator, Window(), means, Best(), plateau, branched, taught_by)


@contextlib.contextmanager
def _computing_as(config: StepConfig) -> Iterator[None]:
    """Layers made in the block compute as `config.precision` says; their weights are float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[config.precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _build_model(config: TrainConfig, *, num_classes: int) -> keras.Model:
    size = (None, None) if config.input.sizes else (config.input.height, config.input.width)
    # The features bring the backbone's weights.
    weights = None if config.input.features else config.model.weights
    model = build_model(
        dataclasses.replace(config.model, weights=weights),
        num_classes=num_classes,
        input_shape=(*size, 3),
    )
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = config.step.synchronized_batch_norm
    if not config.step.xla and config.strategy != 'tpu':  # XLA fuses Keras's operations itself
        batch_norm.fuse(model)
    return model


def _freeze_backbone(model: keras.Model, data: DataSet) -> None:
    """Gives the model the backbone that made the features, which learns no more."""
    backbone = feature_model(model)
    sha256 = feature_source.of(data.manifest).model_sha256
    backbone_file.restore(backbone, data.folder, sha256=sha256)
    for layer in backbone.layers:
        layer.trainable = False


def _with_heads(model: keras.Model, data: DataSet) -> keras.Model:
    tree = data.categories
    sizes = [int(nodes.max()) + 1 for nodes in (tree.level1, tree.level2)]
    return heads.add_level_heads(model, sizes)


def _build_optimizer(
    config: TrainConfig, *, model: keras.Model, plateau: Plateau | None
) -> keras.optimizers.Optimizer:
    optimizer = build_optimizer(
        config.optimizer,
        total_steps=config.total_steps,
        model=model,
        drop=plateau.factor if plateau else None,
    )
    if config.step.precision == 'float16':
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


def take_weights(state: State, config: StartConfig) -> None:
    """Takes the weights that the config names; their means begin there too.

    Raises:
      UserError: if the workdir has no checkpoint, the pattern fits no weight, or the other run has
        none of a path and shape that it fits.
    """
    if config.workdir is None:
        return
    source, _, _ = checkpoint.restore_model(config.workdir)
    _take(state.model, source, config)
    ema.reset(state.means, state.model)


def _take(model: keras.Model, source: keras.Model, config: StartConfig) -> None:
    known = dict(weights.weight_paths(source))
    wanted = [
        (path, w) for path, w in weights.weight_paths(model) if re.search(config.pattern, path)
    ]
    if not wanted:
        raise UserError(f'start.pattern must fit a weight, {config.pattern!r} fits none')
    for path, weight in wanted:
        found = known.get(path)
        if found is None or found.shape != weight.shape:
            came = 'none' if found is None else f'one of shape {tuple(found.shape)}'
            raise UserError(
                f'{config.workdir}: must have a weight {path} of shape {tuple(weight.shape)}, got '
                f'{came}; start.pattern can leave it out'
            )
        weight.assign(found.numpy())
