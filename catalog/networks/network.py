"""What every converted network offers, and the file that each runtime keeps it in."""

from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

RuntimeName = Literal['openvino', 'onnx', 'litert']
Precision = Literal['fp32', 'bf16', 'int8']

RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
FILES: dict[RuntimeName, str] = {
    'openvino': 'network.xml',  # beside it, network.bin has the weights
    'onnx': 'network.onnx',
    'litert': 'network.tflite',
}

IMAGES, PRODUCT = 'images', 'product'
OUTPUTS = ('pictures', 'products', 'embedding')


class Outputs(NamedTuple):
    """What a network computes of N pictures of P products.

    Attributes:
      pictures: Calibrated probabilities of each picture, float32 [N, C].
      products: Calibrated probabilities of each product, float32 [P, C].
      embedding: Features of length 1, float32 [N, d].
    """

    pictures: Floats
    products: Floats
    embedding: Floats


class Network(Protocol):
    """A network in memory. `run` may be called from many threads."""

    def run(
        self,
        images: npt.NDArray[np.uint8],
        product: npt.NDArray[np.int64],
        *,
        timeout_seconds: float | None = None,
    ) -> Outputs:
        """Computes a batch of at least one picture.

        Args:
          images: uint8 [N, H, W, 3], product by product.
          product: int64 [N], 0 to P-1 in ascending order.
          timeout_seconds: Time limit; a runtime that cannot be stopped finishes the run.

        Raises:
          TimeoutError: If the time limit was exceeded.
        """

    def close(self) -> None:
        """Frees the memory. No run may be in progress."""
