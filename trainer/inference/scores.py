"""Probabilities of pictures and of products, as arrays, and the top-k of both.

Everything streams: one batch and the pictures of one product are in memory.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.distribution import replica_calls
from trainer.inference.predictor import Predictor, mean_over_views
from trainer.metrics import calibration
from trainer.metrics.prediction_table import Predictions

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """N examples, each a picture or a product, with the probabilities of all C classes.

    Attributes:
      product_id: int64 [N].
      label: int64 [N].
      index: int64 [N], the position of a picture in its product; for a product that of its first.
      leaked: bool [N], whether a picture (of the product) also occurs in train.
      pictures: int64 [N], the number of pictures that the probabilities come from.
      label_log_probability: float64 [N], log probability of the label, never of a rounded 0.
      probabilities: float32 [N, C].
      features: float32 [N, d], features of pictures if the model fuses views; otherwise d is 0.
    """

    product_id: Ints
    label: Ints
    index: Ints
    leaked: npt.NDArray[np.bool_]
    pictures: Ints
    label_log_probability: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.label)


def score_pictures(
    predictor: Predictor,
    batches: Iterable[dict[str, tf.Tensor]],
    *,
    strategy: tf.distribute.Strategy | None = None,
) -> Iterator[Scores]:
    """Computes the scores of `batches.picture_batches`, each picture as an example of its own.

    Args:
      predictor: The forward path of a model.
      batches: The pictures.
      strategy: The strategy that holds the weights; its devices divide each batch. By default that
        of the current scope.
    """

    def forward(batch: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        images, labels = batch['image'], batch['label']
        if predictor.max_views is None:
            features, logits = tf.zeros([tf.shape(images)[0], 0]), predictor.logits(images)
        else:
            features = predictor.features(images)
            logits = predictor.logits_of_features(features)
        return *_log_probabilities(logits, labels), features

    run = replica_calls.divide(forward, strategy or tf.distribute.get_strategy())
    for batch in batches:
        columns = {name: batch[name] for name in ('image', 'label')}
        probabilities, label_log_probability, features = run(columns)
        yield Scores(
            product_id=batch['product_id'].numpy(),
            label=batch['label'].numpy(),
            index=batch['index'].numpy(),
            leaked=batch['leaked'].numpy().astype(bool),
            pictures=np.ones(len(probabilities), np.int64),
            label_log_probability=label_log_probability.numpy().astype(np.float64),
            probabilities=probabilities.numpy(),
            features=features.numpy(),
        )


def _log_probabilities(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns probabilities [N, C] and the log probabilities of the labels [N]."""
    log_probabilities = tf.nn.log_softmax(logits)
    return tf.exp(log_probabilities), tf.gather(log_probabilities, labels, batch_dims=1)


def split_at_products(batches: Iterable[Scores]) -> Iterator[Scores]:
    """Cuts a stream of pictures so that the pictures of a product are in one piece."""
    rest: Scores | None = None
    for batch in batches:
        rows = batch if rest is None else _concatenate(rest, batch)
        last = int(
            product_starts(rows.product_id, rows.index)[-1]
        )  # may continue in the next batch
        if last:
            yield _rows(rows, slice(0, last))
        rest = _rows(rows, slice(last, None))
    if rest is not None:
        yield rest


def build_fusion(predictor: Predictor) -> Callable[[Scores], Scores]:
    """Returns a function from the pictures of complete products to the products: [N] -> [P].

    For a model that fuses views, the first `max_views` pictures of a product count, as in training.
    """
    max_views = predictor.max_views
    if max_views is None:
        return average_views

    def forward(
        features: tf.Tensor, mask: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return _log_probabilities(predictor.logits_of_features(features, mask), labels)

    run = tf.function(forward, autograph=False, reduce_retracing=True)

    def fuse(pictures: Scores) -> Scores:
        starts = product_starts(pictures.product_id, pictures.index)
        counts = np.diff(starts, append=len(pictures))
        places = np.arange(len(pictures)) - np.repeat(starts, counts)
        mask = np.arange(max_views) < counts[:, None]
        probabilities, label_log_probability = run(
            tf.constant(pictures.features[places < max_views]),
            tf.constant(mask),
            tf.constant(pictures.label[starts]),
        )
        return dataclasses.replace(
            average_views(pictures),
            pictures=mask.sum(axis=1),
            label_log_probability=label_log_probability.numpy().astype(np.float64),
            probabilities=probabilities.numpy(),
        )

    return fuse


def average_views(pictures: Scores) -> Scores:
    """Averages the pictures of complete products: [N] -> [P]."""
    starts = product_starts(pictures.product_id, pictures.index)
    counts = np.diff(starts, append=len(pictures))
    product = np.repeat(np.arange(len(starts)), counts)
    # The log of the mean, from the logs: a probability that rounds to 0 keeps its loss.
    log_sum = np.logaddexp.reduceat(pictures.label_log_probability, starts)
    return Scores(
        product_id=pictures.product_id[starts],
        label=pictures.label[starts],
        index=pictures.index[starts],
        leaked=np.logical_or.reduceat(pictures.leaked, starts),
        pictures=np.add.reduceat(pictures.pictures, starts),
        label_log_probability=log_sum - np.log(counts),
        probabilities=mean_over_views(pictures.probabilities, product).numpy(),
        features=pictures.features[starts, :0],
    )


def top_predictions(examples: Scores, *, top_k: int, temperature: float = 1.0) -> Predictions:
    """Returns the `top_k` most probable classes of each example, or all if there are fewer.

    `temperature` calibrates the confidence, see `metrics.calibration`; 1 leaves the probabilities.
    """
    k = min(top_k, examples.probabilities.shape[1])
    probability, predicted = tf.math.top_k(examples.probabilities, k)
    confidence = probability
    if temperature != 1:
        powers = calibration.clipped_log(examples.probabilities) / np.float32(temperature)
        total = tf.reduce_logsumexp(powers, axis=1, keepdims=True)
        confidence = tf.exp(tf.gather(powers, predicted, batch_dims=1) - total)
    return Predictions(
        product_id=examples.product_id,
        label=examples.label,
        leaked=examples.leaked,
        pictures=examples.pictures,
        predicted=predicted.numpy().astype(np.int64),
        confidence=confidence.numpy(),
        probability=probability.numpy(),
        label_log_probability=examples.label_log_probability,
    )


def product_starts(product_id: Ints, index: Ints) -> Ints:
    """Returns the rows at which products start: int64 [N] each -> int64 [P].

    A copy of a product directly behind it starts again: its index falls back.
    """
    same = (product_id[1:] == product_id[:-1]) & (index[1:] > index[:-1])
    return np.flatnonzero(np.concatenate([[True], ~same]))


def _rows(rows: Scores, selected: slice) -> Scores:
    parts = {field.name: getattr(rows, field.name) for field in dataclasses.fields(rows)}
    return Scores(**{name: values[selected] for name, values in parts.items()})


def _concatenate(first: Scores, second: Scores) -> Scores:
    names = [field.name for field in dataclasses.fields(Scores)]
    return Scores(
        **{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names}
    )
