"""`ensemble.json`: which runs form an ensemble, and how they are combined.

`trainer.ensemble` writes it into a folder of its own, beside copies of the first member's
`data.json` and `category_names.csv`. The workdirs of the members stay where they are.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from catalog import storage
from catalog.errors import UserError
from trainer import naming
from trainer.inference.combination import Combination


@dataclass(frozen=True)
class MemberRun:
    """A member: the workdir of its run, and the step of its newest checkpoint."""

    workdir: str
    step: int


@dataclass(frozen=True)
class Candidate:
    """A single member, or a way to combine all, measured on products that nothing was fitted on.

    Attributes:
      name: Name of the way, or the member's workdir.
      loss: Mean log loss of a product, in nats.
      accuracy: Accuracy per product.
    """

    name: str
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Ensemble:
    """An ensemble.

    Attributes:
      members: Its runs.
      way: How they are combined: a key of `ensemble.build.METHODS`.
      combination: The rule with its weights.
      compared: The candidates that the way was chosen from.
    """

    members: tuple[MemberRun, ...]
    way: str
    combination: Combination
    compared: tuple[Candidate, ...]


def to_json(ensemble: Ensemble) -> str:
    """Returns the content of `ensemble.json`."""
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
        'compared': [dataclasses.asdict(candidate) for candidate in ensemble.compared],
    }
    return json.dumps(document, indent=1) + '\n'


def read_ensemble(workdir: str) -> Ensemble | None:
    """Reads the ensemble of a folder; returns None if it holds none.

    Raises:
      UserError: If the file is not what `to_json` returns.
    """
    path = storage.join(workdir, naming.ENSEMBLE)
    if not storage.exists(path):
        return None
    try:
        document: dict[str, Any] = json.loads(storage.read_bytes(path))
        rule = document['combination']
        return Ensemble(
            members=tuple(MemberRun(**member) for member in document['members']),
            way=document['way'],
            combination=Combination(
                rule['name'], np.array(rule['weights']), np.array(rule['bias'])
            ),
            compared=tuple(Candidate(**candidate) for candidate in document['compared']),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{path}: must be a file that trainer.ensemble wrote, got {error!r}; build it again'
        ) from error
