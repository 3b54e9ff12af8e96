"""The temperatures that an exported model carries: those of the report of its run, if it has one.

`trainer.evaluate` fits and writes them into `WORKDIR/report/evaluation.json`; they are for the step
that it measured and for no other. Knows no TensorFlow.
"""

import json
from dataclasses import dataclass
from typing import Any

from catalog import storage
from catalog.errors import UserError
from trainer import naming
from trainer.metrics.calibration import Temperatures

_EVALUATION = f'{naming.REPORT}/{naming.EVALUATION}'


@dataclass(frozen=True)
class Baked:
    """What becomes of a model's confidence.

    Attributes:
      temperatures: 1 and 1 where it is not calibrated.
      words: `calibrated` and on what, or `not calibrated` and why.
    """

    temperatures: Temperatures
    words: str


def evaluation(workdir: str) -> dict[str, Any] | None:
    """What the report of a run says, if there is one.

    Raises:
      UserError: if it is not JSON.
    """
    path = storage.join(workdir, _EVALUATION)
    if not storage.exists(path):
        return None
    try:
        document: dict[str, Any] = json.loads(storage.read_bytes(path))
    except ValueError as error:
        raise UserError(f'{path}: must be JSON, got: {error}; evaluate again') from error
    return document


def restore(workdir: str, *, step: int, tta: str) -> Baked:
    """The temperatures for the model of a step that answers as `tta` says."""
    document = evaluation(workdir)
    if document is None:
        return _none(f'there is no {_EVALUATION}')
    if 'temperature' not in document:
        return _none(f'{_EVALUATION} has no temperature')
    if document['step'] != step:
        return _none(f'{_EVALUATION} is of step {document["step"]}, the model of step {step}')
    measured = document.get('tta', 'none')  # reports did not always say
    if measured != tta:
        return _none(f'{_EVALUATION} has --tta={measured}, the model --tta={tta}')
    found = document['temperature']
    return Baked(
        Temperatures(picture=found['picture'], product=found['product']),
        f'calibrated on {found["fitted_products"]:,} products of {found["fitted_on"]}',
    )


def _none(reason: str) -> Baked:
    return Baked(Temperatures(), f'not calibrated: {reason}; evaluate into WORKDIR/report first')
