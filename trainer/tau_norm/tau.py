"""Tau-normalization of the last layer, and the search for the best tau.

Kang et al., 2019, arXiv:1910.09217, equation 5: the weights of each class are divided by a power of
their norm. The logits of a class without bias are then a multiple of the old ones, so all powers
are evaluated in one pass.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog import atomic_folder, categories, storage
from catalog.errors import UserError
from catalog.local_copies import tensorflow_paths
from catalog.process.progress import Progress
from trainer import naming
from trainer.data.batches import picture_batches
from trainer.data.data_set import open_data_set
from trainer.inference.runs import Member, restore_member
from trainer.metrics import classification
from trainer.metrics.classification import MetricsAccumulator
from trainer.models.heads import LOGITS
from trainer.optim import ema
from trainer.undecodable.log import UndecodableLog
from trainer.workdir import checkpoint

TAUS = tuple(round(0.1 * tenth, 1) for tenth in range(11))


@dataclass(frozen=True)
class TauMetrics:
    """Metrics per picture with one tau."""

    tau: float
    accuracy: float
    macro_recall: float
    macro_f1: float


def evaluate_taus(*, workdir: str, data_folder: str, split: str) -> list[TauMetrics]:
    """Evaluates TAUS on the newest checkpoint of a workdir.

    Raises:
      UserError: If the last layer is not `dense`, the model fuses views, or the split has no
        labels.
    """
    member = _open(workdir)
    config = member.config
    if config.model.fusion.is_on:
        raise UserError(
            f'{workdir}: tau is fitted per picture, got a model that fuses views (model.fusion '
            f'{config.model.fusion.name}); give --tau'
        )
    data = open_data_set(data_folder)
    if not any(data.split(split).products_per_class):
        raise UserError(f'{data.folder}: fitting tau needs labels, split {split!r} has none')
    kernel, bias = member.model.get_layer(LOGITS).get_weights()
    scales = [_norms(kernel) ** -tau for tau in TAUS]
    accumulators = [MetricsAccumulator(data.num_classes) for _ in TAUS]
    progress = Progress('fit tau', total=data.split(split).pictures, unit='picture')
    forward = tf.function(member.predictor().logits, autograph=False, reduce_retracing=True)
    undecodable = UndecodableLog(data.paths(split))
    batches = picture_batches(
        data, split, config.input, batch_size=config.batch_size, undecodable=undecodable
    )
    for batch in batches:
        logits = forward(batch['image']) - bias
        for accumulator, scale in zip(accumulators, scales, strict=True):
            _update(accumulator, logits * scale, labels=batch['label'])
        progress.update(accumulators[0].examples)
    progress.close()
    undecodable.report()
    return [
        _tau_metrics(tau, accumulator) for tau, accumulator in zip(TAUS, accumulators, strict=True)
    ]


def _open(workdir: str) -> Member:
    member, _ = restore_member(workdir)
    if member.config.model.last_layer != 'dense':
        raise UserError(
            f'{workdir}: model.last_layer must be dense for tau-normalization, got '
            f'{member.config.model.last_layer}'
        )
    return member


def _norms(kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns the norm of the weights of each class: [d, C] -> [C]; never 0."""
    norms: npt.NDArray[np.float32] = np.sqrt(np.square(kernel).sum(axis=0))
    return np.maximum(norms, np.finfo(np.float32).tiny)


def _update(accumulator: MetricsAccumulator, logits: tf.Tensor, *, labels: tf.Tensor) -> None:
    top_k = min(classification.TOP, accumulator.num_classes)
    log_probability = tf.gather(tf.nn.log_softmax(logits), labels, batch_dims=1)
    accumulator.update(
        labels=labels.numpy(),
        predicted=tf.math.top_k(logits, top_k).indices.numpy(),
        label_log_probability=log_probability.numpy(),
    )


def _tau_metrics(tau: float, accumulator: MetricsAccumulator) -> TauMetrics:
    metrics = classification.compute_metrics(accumulator)
    return TauMetrics(tau, metrics.accuracy, metrics.macro_recall, metrics.macro_f1)


def write_normalized(
    *, workdir: str, output: str, tau: float, evaluated: Sequence[TauMetrics] = ()
) -> None:
    """Writes a workdir with the tau-normalized newest model of another workdir, atomically.

    Raises:
      UserError: If tau is not in [0, 1], the output is not a new or empty folder, or the last layer
        is not `dense`.
    """
    if not 0 <= tau <= 1:
        raise UserError(f'--tau must be in [0, 1], got {tau}')
    if storage.exists(storage.join(output, naming.CONFIG)):
        raise UserError(f'{output}: --output must be a new folder, this is a workdir already')
    document = {
        'tau': tau,
        'workdir': workdir,
        'tried': [dataclasses.asdict(metrics) for metrics in evaluated],
    }
    tensorflow_paths.check_opened(output, flag='output')
    if storage.is_remote(output):  # no folder can be renamed there; config.json is written last
        _write(_open(workdir), document, source=workdir, output=output)
        return
    with atomic_folder.replace(output, files=frozenset()) as partial:
        _write(_open(workdir), document, source=workdir, output=str(partial))


def _write(member: Member, document: dict[str, Any], *, source: str, output: str) -> None:
    """Normalizes a model, and writes it and the document to a workdir."""
    layer = member.model.get_layer(LOGITS)
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * _norms(kernel) ** -document['tau'], np.zeros_like(bias)])
    averages = ema.create_averages(member.model) if member.config.step.ema_decay else []
    state = tf.train.Checkpoint(model=member.model, means=averages)
    checkpoint.save(state, output, step=member.step, keep=1)
    storage.write_bytes(
        storage.join(output, naming.TAU_NORM), (json.dumps(document, indent=1) + '\n').encode()
    )
    for name in (naming.DATA, categories.FILE_NAME, naming.CONFIG):
        content = storage.read_bytes(storage.join(source, name))
        storage.write_bytes(storage.join(output, name), content)
