"""Runs a model over pictures: probabilities of a picture, of a product, and the likeliest k.

A product's probabilities are the mean of its pictures', or what the model says of their features
together where it learned to fuse them. Everything streams: what is held is one batch and the
pictures of one product.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.config import FusionConfig, ModelConfig
from trainer.data import preprocess
from trainer.data.preprocess import scaled
from trainer.metrics import calibration
from trainer.metrics.prediction_table import Predictions
from trainer.models import model as models

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scored:
    """N examples, each a picture or a product, with the probabilities of all C classes.

    Attributes:
      product_id: int64 [N].
      label: int64 [N].
      index: int64 [N], a picture's position in its product; a product has its first picture's.
      leaked: bool [N], whether a picture (of the product) occurs in train too.
      pictures: int64 [N], how many the probabilities come from.
      label_log_probability: float64 [N], log of the probability of the label, never of a rounded 0.
      probabilities: float32 [N, C].
      features: float32 [N, d], of pictures, for a model that fuses them; d is 0 otherwise.
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


def score(
    model: keras.Model, batches: Iterable[dict[str, tf.Tensor]], *, model_config: ModelConfig
) -> Iterator[Scored]:
    """Runs a model over batches of `input_pipeline.evaluation_batches`, a picture an example.

    Pictures of another size than the model's are scaled. A model that fuses views takes each as a
    product of one view.
    """
    split = _split(model)
    height, width = model.inputs[0].shape[1:3]

    def forward(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        pixels = scaled(images, height=height, width=width)
        features, logits = split(preprocess.normalize(pixels, model_config))
        return *_log_probabilities(logits, labels), features

    run = tf.function(forward, autograph=False, reduce_retracing=True)
    for batch in batches:
        probabilities, of_label, features = run(batch['image'], batch['label'])
        yield Scored(
            product_id=batch['product_id'].numpy(),
            label=batch['label'].numpy(),
            index=batch['index'].numpy(),
            leaked=batch['leaked'].numpy().astype(bool),
            pictures=np.ones(len(of_label), np.int64),
            label_log_probability=of_label.numpy().astype(np.float64),
            probabilities=probabilities.numpy(),
            features=features.numpy(),
        )


def _split(model: keras.Model) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """A function of pictures: what a fusion needs of each, [N, d], and its logits [N, C]."""
    if not models.takes_products(model):
        return lambda images: (
            tf.zeros([tf.shape(images)[0], 0]),
            model(images, training=False),
        )
    backbone, head = models.feature_model(model), models.head_model(model)

    def run(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = backbone(images, training=False)
        return features, head([features, models.single_view_mask(features)], training=False)

    return run


def _log_probabilities(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Probabilities [N, C], and the logs of the labels' [N]."""
    log_probabilities = tf.nn.log_softmax(logits)
    return tf.exp(log_probabilities), tf.gather(log_probabilities, labels, batch_dims=1)


def whole_products(batches: Iterable[Scored]) -> Iterator[Scored]:
    """Cuts a stream of pictures anew, so that each product's pictures are in one piece."""
    rest: Scored | None = None
    for batch in batches:
        rows = batch if rest is None else _concatenate(rest, batch)
        last = int(_starts(rows)[-1])  # the last product may go on in the next batch
        if last:
            yield _rows(rows, slice(0, last))
        rest = _rows(rows, slice(last, None))
    if rest is not None:
        yield rest


def rule(config: FusionConfig) -> str:
    """How the probabilities of a product come about, in words."""
    if not config.is_on:
        return "the mean of its pictures'"
    return f"the model's, of its first {config.max_views} pictures together ({config.name})"


def fuser(model: keras.Model, config: FusionConfig) -> Callable[[Scored], Scored]:
    """A function from whole products' pictures to the products: [N] -> [P].

    Of a model that fuses views, the first `max_views` pictures of a product count, as in training.
    """
    if not models.takes_products(model):
        return fuse
    head = models.head_model(model)

    def forward(
        features: tf.Tensor, mask: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return _log_probabilities(head([features, mask], training=False), labels)

    run = tf.function(forward, autograph=False, reduce_retracing=True)

    def fuse_learned(pictures: Scored) -> Scored:
        starts = _starts(pictures)
        counts = np.diff(starts, append=len(pictures))
        places = np.arange(len(pictures)) - np.repeat(starts, counts)
        mask = np.arange(config.max_views) < counts[:, None]
        probabilities, of_label = run(
            tf.constant(pictures.features[places < config.max_views]),
            tf.constant(mask),
            tf.constant(pictures.label[starts]),
        )
        return dataclasses.replace(
            fuse(pictures),
            pictures=mask.sum(axis=1),
            label_log_probability=of_label.numpy().astype(np.float64),
            probabilities=probabilities.numpy(),
        )

    return fuse_learned


def fuse(pictures: Scored) -> Scored:
    """The products of whole products' pictures, as the mean of these: [N] -> [P]."""
    starts = _starts(pictures)
    counts = np.diff(starts, append=len(pictures))
    summed = np.add.reduceat(pictures.probabilities, starts)
    # The log of the mean, from the logs: a probability that rounds to 0 keeps its loss.
    log_sum = np.logaddexp.reduceat(pictures.label_log_probability, starts)
    return Scored(
        product_id=pictures.product_id[starts],
        label=pictures.label[starts],
        index=pictures.index[starts],
        leaked=np.logical_or.reduceat(pictures.leaked, starts),
        pictures=np.add.reduceat(pictures.pictures, starts),
        label_log_probability=log_sum - np.log(counts),
        probabilities=(summed / counts[:, None]).astype(np.float32),
        features=pictures.features[starts, :0],
    )


def top(examples: Scored, *, top_k: int, temperature: float = 1.0) -> Predictions:
    """The likeliest `top_k` classes of each example, or all where there are fewer.

    `temperature` calibrates their confidence, see `calibration`; 1 leaves the probabilities.
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


def _starts(rows: Scored) -> Ints:
    return product_starts(rows.product_id, rows.index)


def product_starts(product_id: Ints, index: Ints) -> Ints:
    """Where products start in a row of pictures: int64 [N] each -> int64 [P].

    One that is there twice in a row starts again: its index falls back.
    """
    same = (product_id[1:] == product_id[:-1]) & (index[1:] > index[:-1])
    return np.flatnonzero(np.concatenate([[True], ~same]))


def _rows(rows: Scored, chosen: slice) -> Scored:
    parts = {field.name: getattr(rows, field.name) for field in dataclasses.fields(rows)}
    return Scored(**{name: values[chosen] for name, values in parts.items()})


def _concatenate(first: Scored, second: Scored) -> Scored:
    names = [field.name for field in dataclasses.fields(Scored)]
    return Scored(
        **{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names}
    )
