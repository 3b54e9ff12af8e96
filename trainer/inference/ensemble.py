"""How the probabilities of several models become one: the values. No TensorFlow.

- `arithmetic`: the weighted mean.
- `geometric`: the normalised product of powers (a product of experts, Hinton, 2002).
- `stacking` (Wolpert, 1992): the same with a power for each model and class, and a factor for each
  class.

`ensemble.json`: which runs are one model together, and how. Knows no TensorFlow.

`trainer.ensemble` writes it into a folder of its own, beside copies of the first member's
`data.json` and `category_names.csv`. The members stay where they are.

Makes one answer of several models' by the rule of a `combination`.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog import storage
from catalog.errors import UserError
from trainer import naming

Name = Literal['arithmetic', 'geometric', 'stacking']
Floats = npt.NDArray[np.float64]

SMALLEST = float(np.finfo(np.float32).tiny)  # what a probability of 0 counts as

_WORDS = {
    'arithmetic': 'the weighted mean',
    'geometric': 'the weighted geometric mean',
    'stacking': 'the stacking',
}


@dataclass(frozen=True)
class Combination:
    """A rule for M models of C classes.

    Attributes:
      name: of the rule.
      weights: of the models, float64 [M, 1]; of `stacking` [M, C].
      bias: the logarithm of the classes' factors, float64 [C] for `stacking`, otherwise [1] and 0.
    """

    name: Name
    weights: Floats
    bias: Floats

    @property
    def words(self) -> str:
        """What it is, for people."""
        return _WORDS[self.name]


def equal(name: Literal['arithmetic', 'geometric'], *, models: int) -> Combination:
    """All models count alike."""
    return Combination(name, np.full((models, 1), 1 / models), np.zeros(1))


@dataclass(frozen=True)
class Named:
    """A member: the workdir of its run, and the step of its newest checkpoint."""

    workdir: str
    step: int


@dataclass(frozen=True)
class Compared:
    """A member alone, or a way to combine all, on products that nothing was fitted on.

    Attributes:
      name: of the way, or the member's workdir.
      loss: mean log loss of a product, in nats.
      accuracy: of products.
    """

    name: str
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Ensemble:
    """An ensemble.

    Attributes:
      members: its runs.
      way: of combining them: a key of `ensembling.WAYS`.
      combination: of what they say.
      compared: what was weighed up.
    """

    members: tuple[Named, ...]
    way: str
    combination: Combination
    compared: tuple[Compared, ...]


def to_json(ensemble: Ensemble) -> str:
    """The ensemble as it stands in the file."""
    rule = ensemble.combination
    document = {
        'schema_version': 1,
        'members': [dataclasses.asdict(member) for member in ensemble.members],
        'way': ensemble.way,
        'combination': {
            'name': rule.name,
            'weights': rule.weights.tolist(),
            'bias': rule.bias.tolist(),
        },
        'compared': [dataclasses.asdict(way) for way in ensemble.compared],
    }
    return json.dumps(document, indent=1) + '\n'


def read(workdir: str) -> Ensemble | None:
    """The ensemble of a folder; None if it holds none.

    Raises:
      UserError: if the file is not what `to_json` gives.
    """
    path = storage.join(workdir, naming.ENSEMBLE)
    if not storage.exists(path):
        return None
    try:
        document: dict[str, Any] = json.loads(storage.read_bytes(path))
        rule = document['combination']
        return Ensemble(
            members=tuple(Named(**member) for member in document['members']),
            way=document['way'],
            combination=Combination(
                rule['name'], np.array(rule['weights']), np.array(rule['bias'])
            ),
            compared=tuple(Compared(**way) for way in document['compared']),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{path}: must be what trainer.ensemble writes, got {error!r}; make it again'
        ) from error


def log_probabilities(probabilities: tf.Tensor, rule: Combination) -> tf.Tensor:
    """Those of M models, float32 [M, B, C], to the logarithms of one's, float32 [B, C]."""
    logs = tf.math.log(tf.maximum(probabilities, SMALLEST))
    weights = tf.constant(rule.weights[:, np.newaxis], tf.float32)  # [M, 1, 1 or C]
    if rule.name == 'arithmetic':
        return tf.reduce_logsumexp(logs + tf.math.log(weights), axis=0)
    bias = tf.constant(rule.bias, tf.float32)
    return tf.nn.log_softmax(tf.reduce_sum(weights * logs, axis=0) + bias)
