"""`network.json`: what a converted network is, and how its probabilities become answers."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, cast

from catalog import storage
from catalog.errors import UserError
from catalog.networks.network import PRECISIONS, RUNTIMES, Precision, RuntimeName
from catalog.typed_json import reader

FILE_NAME = 'network.json'
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class NetworkSpec:
    """A converted network.

    Attributes:
      runtime: The runtime that its file is for.
      precision: The precision that it computes in.
      height: Height of its images, in pixels.
      width: Width of its images, in pixels.
      top_k: Categories in a prediction.
      level_threshold: Summed confidence from which a level is trusted.
      flops: Floating-point operations of one picture; a multiplication and an addition are two.
    """

    runtime: RuntimeName
    precision: Precision
    height: int
    width: int
    top_k: int
    level_threshold: float
    flops: int


def write(spec: NetworkSpec, folder: str) -> None:
    """Writes `network.json`."""
    document = {'schema_version': SCHEMA_VERSION, **dataclasses.asdict(spec)}
    content = json.dumps(document, indent=1) + '\n'
    storage.write_bytes(storage.join(folder, FILE_NAME), content.encode())


def is_there(folder: str) -> bool:
    """Returns whether a version folder is of a converted network."""
    return storage.exists(storage.join(folder, FILE_NAME))


def read(folder: str) -> NetworkSpec:
    """Reads `network.json`.

    Raises:
      UserError: If it is missing or damaged, or of a later version.
    """
    path = storage.join(folder, FILE_NAME)
    try:
        content = storage.read_bytes(path)
    except FileNotFoundError as error:
        raise UserError(
            f'{folder}: must be a version folder of serving.convert, such as '
            f'converted/shop/1; it has no {FILE_NAME}'
        ) from error
    document = reader.parse(content, path=path)
    version = document.field('schema_version')
    if version.natural() != SCHEMA_VERSION:
        raise version.error(f'be {SCHEMA_VERSION}, the version that this program reads')
    return NetworkSpec(
        runtime=cast(RuntimeName, _choice(document.field('runtime'), RUNTIMES)),
        precision=cast(Precision, _choice(document.field('precision'), PRECISIONS)),
        height=document.field('height').natural(),
        width=document.field('width').natural(),
        top_k=document.field('top_k').natural(),
        level_threshold=document.field('level_threshold').fraction(),
        flops=document.field('flops').natural(),
    )


def _choice(value: Any, choices: tuple[str, ...]) -> str:
    if value.text() not in choices:
        raise value.error(f'be one of {", ".join(choices)}')
    return cast(str, value.content)
