"""A converted model: decoding and names on the processor around a network of another runtime.

It has the signatures of the SavedModel that it was converted from, and gives the same answers
within the precision of its network (docs/serving_speed.md).
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tensorflow_serving.apis import get_model_metadata_pb2

from catalog import categories, storage
from catalog.networks import opening, spec
from catalog.networks.network import Outputs
from serving.protocol.names import DEFAULT_SIGNATURE, EMBEDDING
from serving.protocol.status import Code, RequestError, invalid_argument
from serving.runtimes import signatures
from serving.runtimes.answers import Answers
from serving.runtimes.model import Arrays
from serving.runtimes.pictures import Images, PictureDecoder
from serving.runtimes.products import arrange

SIGNATURES_FILE = 'signatures.pb'  # a SignatureDefMap


class ConvertedModel:
    """A version folder of `serving.convert`, loaded. `run` may be called from many threads.

    Attributes:
      spec: Its `network.json`.
      signatures: tensorflow.SignatureDef by name.
      runtime: For example `openvino int8`.
    """

    def __init__(self, path: str, *, threads: int = 0) -> None:
        """Loads a version folder; a run uses `threads` threads, 0 for all cores.

        Raises:
          UserError: If a file is damaged, or the runtime is not installed.
        """
        self.spec = spec.read(path)
        self.runtime = f'{self.spec.runtime} {self.spec.precision}'
        content = storage.read_bytes(storage.join(path, SIGNATURES_FILE))
        defs = get_model_metadata_pb2.SignatureDefMap.FromString(content).signature_def
        self.signatures: Mapping[str, Any] = dict(defs)
        tree = categories.load(storage.join(path, 'assets', categories.FILE_NAME))
        self._answers = Answers(
            tree, top_k=self.spec.top_k, level_threshold=self.spec.level_threshold
        )
        self._decoder = PictureDecoder(height=self.spec.height, width=self.spec.width)
        self._network = opening.open_network(path, self.spec, threads=threads)

    def run(
        self,
        signature_name: str,
        inputs: Arrays,
        *,
        outputs: Sequence[str] = (),
        timeout_seconds: float | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Runs a signature, see `Model`."""
        signature = signatures.find(self.signatures, signature_name)
        signatures.check_inputs(signature, inputs)
        names = signatures.output_names(signature, outputs)
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        values = self._answer(signature_name or DEFAULT_SIGNATURE, inputs, names, deadline)
        return {name: values[name] for name in names}

    def close(self) -> None:
        """Frees the model's memory. No run may be in progress."""
        self._decoder.close()
        self._network.close()

    def _answer(
        self, name: str, inputs: Arrays, outputs: Sequence[str], deadline: float | None
    ) -> dict[str, npt.NDArray[Any]]:
        _remaining(deadline)
        if name == 'pixels':
            images = self._checked_images(inputs['images'])
        else:
            images = self._decode(inputs['image_bytes'])
        if name == 'product':
            arranged = arrange(inputs['product'], pictures=len(images))
            products = self._run(images[arranged.order], arranged.product, deadline).products
            level = self._answers.deepest_level(products)
            return {**self._answers.top(products), 'level': level}
        found = self._run(images, np.arange(len(images)), deadline)
        answer = self._answers.top(found.pictures)
        if EMBEDDING in outputs:
            answer[EMBEDDING] = _unit(found.embedding)
        return answer

    def _run(
        self, images: Images, product: npt.NDArray[np.int64], deadline: float | None
    ) -> Outputs:
        try:
            found = self._network.run(images, product, timeout_seconds=_remaining(deadline))
        except TimeoutError as error:
            raise _exceeded() from error
        _remaining(deadline)
        return found

    def _decode(self, encoded: npt.NDArray[Any]) -> Images:
        if encoded.ndim != 1:
            raise invalid_argument(f'image_bytes must have shape [N], got {list(encoded.shape)}')
        _check_not_empty(encoded)
        return self._decoder.decode(encoded.tolist())

    def _checked_images(self, images: npt.NDArray[Any]) -> Images:
        shape = (self.spec.height, self.spec.width, 3)
        if images.shape[1:] != shape:
            raise invalid_argument(
                f'images must have shape [N, {", ".join(map(str, shape))}], '
                f'got {list(images.shape)}'
            )
        _check_not_empty(images)
        return images


def _check_not_empty(pictures: npt.NDArray[Any]) -> None:
    if not len(pictures):
        raise invalid_argument('a request must have at least one picture, got none')


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns vectors, [N, d], of length 1; an int8 network rounds its own last step."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)


def _remaining(deadline: float | None) -> float | None:
    """Returns the seconds until a deadline; raises DEADLINE_EXCEEDED after it."""
    if deadline is None:
        return None
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise _exceeded()
    return seconds


def _exceeded() -> RequestError:
    return RequestError(Code.DEADLINE_EXCEEDED, 'the deadline expired before the run ended')
