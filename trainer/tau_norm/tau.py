"""Divides the weights of each class by a power of their length; finds which power is best.

Kang et al., 2019, arXiv:1910.09217, equation 5. What a class of the logits without bias becomes is
its own multiple, so that all powers are tried in one pass.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog import categories, storage
from catalog.errors import UserError
from catalog.process.progress import Progress
from trainer import naming
from trainer.config import TrainConfig
from trainer.data import data_set, preprocess
from trainer.data.input_pipeline import evaluation_batches
from trainer.metrics import classification
from trainer.metrics.classification import MetricsAccumulator
from trainer.models.heads import LOGITS
from trainer.optim import ema
from trainer.workdir import checkpoint

TAUS = tuple(round(0.1 * tenth, 1) for tenth in range(11))


@dataclass(frozen=True)
class TrialResult:
    """What a tau gives, a picture at a time."""

    tau: float
    accuracy: float
    macro_recall: float
    macro_f1: float


def fit(*, workdir: str, data_folder: str, split: str) -> list[TrialResult]:
    """Tries TAUS on the newest checkpoint of a workdir.

    Raises:
      UserError: if the last layer is not `dense`, the model fuses views, or the split has no
        labels.
    """
    model, config = _model(workdir)
    if config.model.fusion.is_on:
        raise UserError(
            f'{workdir}: tau is fitted a picture at a time, got a model that fuses views (model.'
            f'fusion {config.model.fusion.name}); say --tau'
        )
    data = data_set.open_data_set(data_folder)
    if not any(data.split(split).products_per_class):
        raise UserError(f'{data.folder}: tau is fitted on labels, split {split!r} has none')
    kernel, bias = model.get_layer(LOGITS).get_weights()
    scales = [_lengths(kernel) ** -tau for tau in TAUS]
    tallies = [MetricsAccumulator(data.num_classes) for _ in TAUS]
    progress = Progress('fit tau', total=data.split(split).pictures, unit='picture')
    run = tf.function(
        lambda images: model(preprocess.normalize(images, config.model), training=False),
        autograph=False, reduce_retracing=True,
    )  # fmt: skip
    for batch in evaluation_batches(data, split, config):
        logits = run(batch['image']) - bias
        for tally, scale in zip(tallies, scales, strict=True):
            _count(tally, logits * scale, labels=batch['label'])
        progress.update(tallies[0].examples)
    progress.close()
    return [_tried(tau, tally) for tau, tally in zip(TAUS, tallies, strict=True)]


def _model(workdir: str) -> tuple[keras.Model, TrainConfig]:
    model, config, _ = checkpoint.restore_model(workdir)
    if config.model.last_layer != 'dense':
        raise UserError(
            f'{workdir}: model.last_layer must be dense for tau-normalisation, got '
            f'{config.model.last_layer}'
        )
    return model, config


def _lengths(kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Of the weights of each class: [d, C] -> [C]; never 0."""
    lengths: npt.NDArray[np.float32] = np.sqrt(np.square(kernel).sum(axis=0))
    return np.maximum(lengths, np.finfo(np.float32).tiny)


def _count(tally: MetricsAccumulator, logits: tf.Tensor, *, labels: tf.Tensor) -> None:
    top = min(classification.TOP, tally.num_classes)
    log_probability = tf.gather(tf.nn.log_softmax(logits), labels, batch_dims=1)
    tally.update(
        labels=labels.numpy(),
        predicted=tf.math.top_k(logits, top).indices.numpy(),
        label_log_probability=log_probability.numpy(),
    )


def _tried(tau: float, tally: MetricsAccumulator) -> TrialResult:
    metrics = classification.compute_metrics(tally)
    return TrialResult(tau, metrics.accuracy, metrics.macro_recall, metrics.macro_f1)


def normalize(*, workdir: str, output: str, tau: float, tried: Sequence[TrialResult] = ()) -> None:
    """Writes a workdir with the newest model of another one, tau-normalised.

    Raises:
      UserError: if tau is not in [0, 1], the output is a workdir already, or the last layer is not
        `dense`.
    """
    if not 0 <= tau <= 1:
        raise UserError(f'--tau must be in [0, 1], got {tau}')
    if storage.exists(storage.join(output, naming.CONFIG)):
        raise UserError(f'{output}: --output must be a new folder, this is a workdir already')
    model, config = _model(workdir)
    kernel, bias = model.get_layer(LOGITS).get_weights()
    model.get_layer(LOGITS).set_weights([kernel * _lengths(kernel) ** -tau, np.zeros_like(bias)])
    means = ema.create_averages(model) if config.step.ema_decay else []
    state = tf.train.Checkpoint(model=model, means=means)
    checkpoint.save(state, output, step=checkpoint.steps(workdir)[0], keep=1)
    document = {'tau': tau, 'workdir': workdir, 'tried': [dataclasses.asdict(t) for t in tried]}
    storage.write_bytes(
        storage.join(output, naming.TAU_NORM), (json.dumps(document, indent=1) + '\n').encode()
    )
    for name in (naming.DATA, categories.FILE_NAME, naming.CONFIG):
        content = storage.read_bytes(storage.join(workdir, name))
        storage.write_bytes(storage.join(output, name), content)
