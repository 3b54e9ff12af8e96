"""The calibration exported with a model: the temperatures in the report of its run, if any.

`trainer.evaluate` fits them and writes them to `WORKDIR/report/evaluation.json`; they hold for the
step that it evaluated and for no other. Knows no TensorFlow.
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
class ExportCalibration:
    """The calibration exported with a model.

    Attributes:
      temperatures: Both are 1 if the model is not calibrated.
      words: `calibrated` with the data used, or `not calibrated` with the reason.
    """

    temperatures: Temperatures
    words: str


def read_evaluation(workdir: str) -> dict[str, Any] | None:
    """Reads the report of a run; returns None if there is none.

    Raises:
      UserError: If it is not JSON.
    """
    path = storage.join(workdir, _EVALUATION)
    if not storage.exists(path):
        return None
    try:
        document: dict[str, Any] = json.loads(storage.read_bytes(path))
    except ValueError as error:
        raise UserError(f'{path}: must be JSON, got: {error}; evaluate again') from error
    return document


def read_calibration(workdir: str, *, step: int, tta: str) -> ExportCalibration:
    """Reads the temperatures for the model of a step with or without test-time augmentation."""
    document = read_evaluation(workdir)
    if document is None:
        return _uncalibrated(f'there is no {_EVALUATION}')
    if 'temperature' not in document:
        return _uncalibrated(f'{_EVALUATION} has no temperature')
    if document['step'] != step:
        return _uncalibrated(
            f'{_EVALUATION} is from step {document["step"]}, the model from step {step}'
        )
    measured = document.get('tta', 'none')  # older reports lack it
    if measured != tta:
        return _uncalibrated(
            f'{_EVALUATION} was made with --tta={measured}, the model with --tta={tta}'
        )
    fitted = document['temperature']
    return ExportCalibration(
        Temperatures(picture=fitted['picture'], product=fitted['product']),
        f'calibrated on {fitted["fitted_products"]:,} products of {fitted["fitted_on"]}',
    )


def _uncalibrated(reason: str) -> ExportCalibration:
    return ExportCalibration(
        Temperatures(),
        f'not calibrated: {reason}; run trainer.evaluate with --output=WORKDIR/report first',
    )
