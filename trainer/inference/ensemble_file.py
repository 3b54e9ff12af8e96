"""`ensemble.json`: which runs are one model together, and how. Knows no TensorFlow.

`trainer.ensemble` writes it into a folder of its own, beside copies of the first member's
`data.json` and `category_names.csv`. The members stay where they are.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from catalog import storage
from catalog.errors import UserError
from trainer.inference.ensemble import Combination

FILE_NAME = 'ensemble.json'


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
    path = storage.join(workdir, FILE_NAME)
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
