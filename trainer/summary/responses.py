"""A server's responses, as `serving.query --json=FILE` writes them, and whether two agree."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from catalog import storage
from catalog.errors import UserError


@dataclass(frozen=True)
class PredictedCategory:
    """A category of a response.

    Attributes:
      label: Dense label.
      category_id: The shop's number.
      confidence: The server's float32.
      path: Names from level 1 down.
    """

    label: int
    category_id: int
    confidence: np.float32
    path: tuple[str, ...]


@dataclass(frozen=True)
class ImageResponse:
    """The predicted categories of an image, the likeliest first."""

    image: str
    categories: tuple[PredictedCategory, ...]


@dataclass(frozen=True)
class TransportResponses:
    """The responses of one server over one transport, `rest` or `grpc`."""

    transport: str
    server: str
    images: tuple[ImageResponse, ...]


def read_responses(path: str) -> TransportResponses:
    """Reads the responses of a server.

    Raises:
      UserError: If the file is not what `serving.query --json` writes.
    """
    try:
        document = json.loads(storage.read_bytes(path))
        return TransportResponses(
            transport=document['transport'],
            server=document['server'],
            images=tuple(_image_response(answer) for answer in document['answers']),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{path}: must be what serving.query --json writes, one image a prediction, '
            f'got {error!r}'
        ) from error


def _image_response(answer: dict[str, Any]) -> ImageResponse:
    return ImageResponse(
        image=answer['image'],
        categories=tuple(
            PredictedCategory(
                label=item['label'],
                category_id=item['category_id'],
                confidence=np.float32(item['confidence']),
                path=_path(item),
            )
            for item in answer['predictions']
        ),
    )


def _path(item: dict[str, Any]) -> tuple[str, ...]:
    levels = max(1, sum(key.startswith('level') for key in item))
    names = [item[f'level{number}'] for number in range(1, levels + 1)]
    return tuple(filter(None, names))  # empty below the end of a shorter path


def find_differing(transports: Sequence[TransportResponses]) -> list[str]:
    """Returns the images whose responses are not the same over all transports.

    Raises:
      UserError: If the transports were not asked about the same images in the same order.
    """
    asked = {tuple(response.image for response in one.images) for one in transports}
    if len(asked) > 1:
        raise UserError(
            '--answers: the files must be about the same images in the same order, '
            f'got {len(asked)} different lists'
        )
    return [
        responses[0].image
        for responses in zip(*(one.images for one in transports), strict=True)
        if len(set(responses)) > 1
    ]
