"""Compares the answers of two models on the same pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.errors import UserError
from serving.runtimes.model import Model
from serving.shard_pictures.labelled import LabelledPicture

LEAST_TOP1 = 0.98  # of an int8 network
_BATCH = 16


@dataclass(frozen=True)
class Agreement:
    """How far a converted model answers like its source.

    Attributes:
      pictures: Number of pictures that were compared.
      top1: Share of them with the same most probable category.
      confidence: Largest difference of a confidence where that category is the same.
      accuracy: Share of them that the converted model classifies right.
      source_accuracy: Share of them that its source classifies right.
    """

    pictures: int
    top1: float
    confidence: float
    accuracy: float
    source_accuracy: float


def measure(
    source: Model,
    converted: Model,
    pictures: Sequence[LabelledPicture],
) -> Agreement:
    """Runs both models on pictures."""
    before: list[npt.NDArray[Any]] = []
    after: list[npt.NDArray[Any]] = []
    for start in range(0, len(pictures), _BATCH):
        batch = [picture.encoded for picture in pictures[start : start + _BATCH]]
        encoded = {'image_bytes': np.array(batch, object)}
        for model, answers in ((source, before), (converted, after)):
            found = model.run('', encoded, outputs=['label', 'confidence'])
            answers.append(np.stack([found['label'][:, 0], found['confidence'][:, 0]], axis=1))
    old, new = np.concatenate(before), np.concatenate(after)  # [N, (label, confidence)]
    labels = np.array([picture.label for picture in pictures])
    same = old[:, 0] == new[:, 0]
    return Agreement(
        pictures=len(pictures),
        top1=float(same.mean()),
        confidence=float(np.abs(old[same, 1] - new[same, 1]).max(initial=0)),
        accuracy=float((new[:, 0] == labels).mean()),
        source_accuracy=float((old[:, 0] == labels).mean()),
    )


def check_int8(agreement: Agreement, *, output: str) -> None:
    """Checks that an int8 network answers like its model.

    Raises:
      UserError: If the most probable category differs for more than 2 % of the pictures.
    """
    if agreement.top1 < LEAST_TOP1:
        raise UserError(
            f'{output}: an int8 network must agree with its model on {LEAST_TOP1:.0%} of the '
            f'validation pictures, got {agreement.top1:.1%} of {agreement.pictures:,}; '
            'use --precision=bf16 or fp32, or more --calibration_pictures'
        )
