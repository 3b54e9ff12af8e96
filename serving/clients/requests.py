"""The inputs of each signature of an exported model (docs/formats.md), from Python values."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.operations.errors import ServingError
from serving.operations.predict import Array, Outputs, Predict
from serving.protocol import names
from serving.protocol.status import Code


def classify(pictures: Sequence[bytes]) -> Predict:
    """Returns the request that classifies N encoded pictures."""
    return Predict(names.DEFAULT_SIGNATURE, {names.IMAGE_BYTES: _encoded(pictures)})


def classify_products(products: Sequence[Sequence[bytes]]) -> Predict:
    """Returns the request that classifies P products, each from one picture or more."""
    if isinstance(products, (bytes, str)) or any(
        isinstance(views, (bytes, str)) or not views for views in products
    ):
        raise ValueError('products must be sequences of one picture or more')
    pictures = _encoded([picture for views in products for picture in views])
    numbers = np.repeat(np.arange(len(products)), [len(views) for views in products])
    inputs = {names.IMAGE_BYTES: pictures, names.PRODUCT: numbers.astype(np.int64)}
    return Predict(names.PRODUCT_SIGNATURE, inputs)


def embed(pictures: Sequence[bytes]) -> Predict:
    """Returns the request for the embeddings of N encoded pictures."""
    inputs = {names.IMAGE_BYTES: _encoded(pictures)}
    return Predict(names.EMBEDDING_SIGNATURE, inputs, only_output=names.EMBEDDING)


def classify_pixels(images: npt.NDArray[np.uint8]) -> Predict:
    """Returns the request that classifies N decoded pictures, uint8 [N, H, W, 3]."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or not len(images):
        raise ValueError(
            f'images must be uint8 [N, H, W, 3], got {images.dtype} {list(images.shape)}'
        )
    return Predict(names.PIXELS_SIGNATURE, {names.IMAGES: images})


def predict(
    signature: str, inputs: Mapping[str, npt.ArrayLike], *, only_output: str | None = None
) -> Predict:
    """Returns the request for any signature."""
    arrays = {name: _array(value) for name, value in inputs.items()}
    return Predict(signature, arrays, only_output)


def parse_embeddings(outputs: Outputs, *, count: int) -> npt.NDArray[np.float32]:
    """Returns the embeddings in a model's outputs, float32 [count, d].

    Raises:
      ServingError: If there are none.
    """
    found = outputs.get(names.EMBEDDING)
    if found is None or found.ndim != 2 or len(found) != count or found.dtype != np.float32:
        shapes = {name: array.shape for name, array in outputs.items()}
        raise ServingError(
            f'the model must return {count} rows of {names.EMBEDDING}, got {shapes}',
            code=Code.INTERNAL,
        )
    return found


def _encoded(pictures: Sequence[bytes]) -> Array:
    """Returns encoded pictures as an array [N]."""
    if isinstance(pictures, (bytes, str)) or not pictures:
        raise ValueError('pictures must be a sequence of one picture or more')
    for picture in pictures:
        if not isinstance(picture, bytes):
            raise ValueError(
                'a picture must be the bytes of a file, not its name, base64 or a URL, got '
                f'{type(picture).__name__}'
            )
    array = np.empty(len(pictures), object)
    array[:] = pictures
    return array


def _array(value: Any) -> Array:
    """Returns an input as an array; strings as `bytes`."""
    array = np.asarray(value)
    if array.dtype.kind not in 'OSU':
        return array
    found = np.array(value, object)
    flat = [v.encode() if isinstance(v, str) else v for v in found.ravel()]
    if not all(isinstance(item, bytes) for item in flat):
        raise ValueError('an input must have numbers, or text and bytes, got other objects')
    array = np.empty(len(flat), object)
    array[:] = flat
    return array.reshape(found.shape)
