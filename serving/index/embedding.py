"""Embeds products with the signature `embedding` of an exported model."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serving.protocol.names import EMBEDDING, EMBEDDING_SIGNATURE, IMAGE_BYTES
from serving.protocol.status import Code, RequestError
from serving.runtimes.model import Model

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

BATCH_PICTURES = 64


@dataclass(frozen=True)
class EmbeddedPicture:
    """A picture of a stream, with its row there and its embedding.

    Attributes:
      row: Its row.
      data: Its bytes.
      embedding: float32 [D] of length 1; None if the model could not decode the picture.
    """

    row: int
    data: bytes
    embedding: Floats | None


def embed_pictures(
    model: Model, pictures: Iterable[tuple[int, bytes]]
) -> Iterator[EmbeddedPicture]:
    """Embeds a stream of pictures, each with its row, in batches.

    A picture that the model cannot decode fails its batch, whose pictures are then embedded one by
    one.

    Raises:
      RequestError: If the model fails for another reason.
    """
    stream = iter(pictures)
    while batch := list(itertools.islice(stream, BATCH_PICTURES)):
        try:
            found: Iterable[Floats | None] = embed(model, [data for _, data in batch])
        except RequestError as error:
            if error.code != Code.INVALID_ARGUMENT:
                raise
            found = [_embed_one(model, data) for _, data in batch]
        for (row, data), embedding in zip(batch, found, strict=True):
            yield EmbeddedPicture(row, data, embedding)


def embed(model: Model, pictures: list[bytes]) -> Floats:
    """Embeds a batch: float32 [N, D] of length 1.

    Raises:
      RequestError: INVALID_ARGUMENT if the model cannot decode a picture.
    """
    inputs = {IMAGE_BYTES: np.array(pictures, object)}
    outputs = model.run(EMBEDDING_SIGNATURE, inputs, outputs=[EMBEDDING])
    return outputs[EMBEDDING]


def _embed_one(model: Model, picture: bytes) -> Floats | None:
    try:
        return embed(model, [picture])[0]
    except RequestError as error:
        if error.code != Code.INVALID_ARGUMENT:
            raise
        return None


@dataclass(frozen=True)
class EmbeddedProducts:
    """P products.

    Attributes:
      embeddings: The mean of the embeddings of each product's pictures, of length 1, float32
        [P, D]; zeros if none could be decoded.
      has_embedding: Whether one could be decoded, bool [P].
      pictures: Pictures that were embedded.
      undecodable: Pictures that the model could not decode.
    """

    embeddings: Floats
    has_embedding: Bools
    pictures: int
    undecodable: int


def embed_products(
    pictures: Iterable[EmbeddedPicture],
    product: npt.NDArray[np.int64],
    *,
    count: int,
    dimensions: int,
    on_picture: Callable[[int, EmbeddedPicture], None] = lambda _, __: None,
) -> EmbeddedProducts:
    """Averages the embeddings of each product's pictures.

    Args:
      pictures: Embedded pictures.
      product: The product of each row of a picture, 0 to P-1.
      count: P.
      dimensions: D.
      on_picture: Receives each decodable picture and its product.
    """
    sums = np.zeros((count, dimensions), np.float32)
    embedded = undecodable = 0
    for picture in pictures:
        if picture.embedding is None:
            undecodable += 1
            continue
        embedded += 1
        number = int(product[picture.row])
        sums[number] += picture.embedding
        on_picture(number, picture)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    has_embedding = lengths[:, 0] > 0
    np.divide(sums, lengths, out=sums, where=lengths > 0)
    return EmbeddedProducts(sums, has_embedding, embedded, undecodable)
