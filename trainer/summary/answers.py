"""Answers of a server, as `serving.query --json=FILE` writes them; and whether two agree."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from catalog import storage
from catalog.errors import UserError


@dataclass(frozen=True)
class Prediction:
    """One category of an answer.

    Attributes:
      category_id: the shop's number.
      confidence: as the server's float32 says it.
      path: names of level 1 to 3.
    """

    label: int
    category_id: int
    confidence: np.float32
    path: tuple[str, str, str]


@dataclass(frozen=True)
class Answer:
    """The categories of one picture, the likeliest first."""

    image: str
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True)
class Answers:
    """What one server said over one transport."""

    transport: str
    server: str
    answers: tuple[Answer, ...]


def read(path: str) -> Answers:
    """Reads the answers of a server.

    Raises:
      UserError: if the file is not what `serving.query --json` writes.
    """
    try:
        document = json.loads(storage.read_bytes(path))
        return Answers(
            transport=document['transport'],
            server=document['server'],
            answers=tuple(_answer(answer) for answer in document['answers']),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{path}: must be what serving.query --json writes, got {error!r}'
        ) from error


def _answer(document: dict[str, Any]) -> Answer:
    return Answer(
        image=document['image'],
        predictions=tuple(
            Prediction(
                label=item['label'],
                category_id=item['category_id'],
                confidence=np.float32(item['confidence']),
                path=(item['level1'], item['level2'], item['level3']),
            )
            for item in document['predictions']
        ),
    )


def differing(transports: Sequence[Answers]) -> list[str]:
    """The images to which not all transports gave one and the same answer.

    Raises:
      UserError: if the transports were not asked about the same images in the same order.
    """
    asked = {tuple(answer.image for answer in answers.answers) for answers in transports}
    if len(asked) > 1:
        raise UserError('--answers: the files must be of the same images in the same order')
    return [
        answers[0].image
        for answers in zip(*(answers.answers for answers in transports), strict=True)
        if len(set(answers)) > 1
    ]
