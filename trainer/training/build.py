"""Builds the state of a run on its devices: model, optimizer, batches, variables of the loop."""

import contextlib
import dataclasses
import random
from collections.abc import Iterator

import keras
import tensorflow as tf

from trainer.config import StartConfig, StepConfig, TrainConfig
from trainer.data import feature_shards
from trainer.data.data_set import DataInfo, DataSet
from trainer.distribution.cluster import Cluster
from trainer.distribution.machines import Machines
from trainer.models import backbone_file, batch_norm, heads
from trainer.models.model import build_model, feature_model
from trainer.optim import ema
from trainer.optim.optimizers import build_optimizer
from trainer.optim.plateau import Plateau
from trainer.start import initial_weights
from trainer.training.distillation import restore_teacher
from trainer.training.state import Best, State, Window, create_position

_POLICIES = {'float32': 'float32', 'float16': 'mixed_float16', 'bfloat16': 'mixed_bfloat16'}


def build_state(
    config: TrainConfig,
    data: DataSet,
    info: DataInfo,
    *,
    strategy: tf.distribute.Strategy,
    machines: Machines | None = None,
) -> State:
    """Builds the state of a run before its first step; the config's seed decides every weight.

    Args:
      config: The config of the run.
      data: The data set to learn from.
      info: What the run remembers of it.
      strategy: The strategy of the run.
      machines: What the run computes on; by default one process.

    Raises:
      UserError: If initial weights, the teacher or the backbone of a feature cache cannot be read.
    """
    machines = machines or Machines.here(Cluster(), strategy)
    keras.utils.set_random_seed(config.seed)
    # Keras draws the seeds of layers from Python's generator, which threads share: the retries of
    # an object store draw from it too.
    random.seed(config.seed)
    with strategy.scope():
        with _dtype_policy(config.step):
            model = _build_model(config, num_classes=data.num_classes)
            if config.input.features:
                _freeze_backbone(model, data)
            with_heads = _add_level_heads(model, data) if config.loss.levels == 'heads' else None
            teacher = restore_teacher(config.distill, config.loss, info=info, data=data)
        plateau = Plateau() if config.optimizer.schedule.name == 'plateau' else None
        optimizer = _build_optimizer(config, model=with_heads or model, plateau=plateau)
        averages = ema.create_averages(model) if config.step.ema_decay else []
    return State(
        model,
        optimizer,
        Window(),
        ema=averages,
        best=Best(),
        plateau=plateau,
        model_with_heads=with_heads,
        teacher=teacher,
        position=create_position(config.input, hosts=machines.hosts),
        machines=machines.variable(),
    )


@contextlib.contextmanager
def _dtype_policy(config: StepConfig) -> Iterator[None]:
    """Sets the dtype policy of `config.precision` for layers built in the block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[config.precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _build_model(config: TrainConfig, *, num_classes: int) -> keras.Model:
    size = (None, None) if config.input.sizes else (config.input.height, config.input.width)
    # A feature cache brings the weights of its backbone.
    initial_weights = None if config.input.features else config.model.weights
    # XLA, which TPUs compile with too, fuses Keras's operations itself.
    norm = batch_norm.training_norm(
        fused=not config.step.xla and config.strategy != 'tpu',
        synchronized=config.step.synchronized_batch_norm,
    )
    return build_model(
        dataclasses.replace(config.model, weights=initial_weights),
        num_classes=num_classes,
        input_shape=(*size, 3),
        norm=norm,
    )


def _freeze_backbone(model: keras.Model, data: DataSet) -> None:
    """Restores the backbone that computed the features and freezes it."""
    backbone = feature_model(model)
    sha256 = feature_shards.feature_source(data.manifest).model_sha256
    backbone_file.restore(backbone, data.folder, sha256=sha256)
    for layer in backbone.layers:
        layer.trainable = False


def _add_level_heads(model: keras.Model, data: DataSet) -> keras.Model:
    return heads.add_level_heads(model, data.categories.level_sizes)


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


def load_initial_weights(state: State, config: StartConfig, data: DataSet) -> str:
    """Copies the weights of another run that the config names; their EMA restarts from them.

    Returns:
      What became of the rows of the categories, see `start.initial_weights`; '' for none.

    Raises:
      UserError: If they cannot be copied.
    """
    if config.workdir is None:
        return ''
    mapped = initial_weights.copy_weights(
        config.workdir,
        state.model,
        heads.level_head_layers(state.network),
        pattern=config.pattern,
        data=data,
    )
    ema.reset(state.ema, state.model)
    return mapped
