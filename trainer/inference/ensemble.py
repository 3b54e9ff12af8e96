"""How the probabilities of several models become one: the values. No TensorFlow.

- `arithmetic`: the weighted mean.
- `geometric`: the normalised product of powers (a product of experts, Hinton, 2002).
- `stacking` (Wolpert, 1992): the same with a power for each model and class, and a factor for each
  class.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

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
