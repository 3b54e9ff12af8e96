"""A network in the ONNX format, in ONNX Runtime on the processor."""

import numpy as np
import numpy.typing as npt
import onnxruntime

from catalog.networks.network import IMAGES, OUTPUTS, PRODUCT, Outputs


class OnnxNetwork:
    """An inference session. A run cannot be stopped: it ends after its time limit."""

    def __init__(self, path: str, *, threads: int = 0) -> None:
        """Loads a network; `threads` of a run, 0 for all cores."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors
        self._session = onnxruntime.InferenceSession(
            path, options, providers=['CPUExecutionProvider']
        )

    def run(
        self,
        images: npt.NDArray[np.uint8],
        product: npt.NDArray[np.int64],
        *,
        timeout_seconds: float | None = None,
    ) -> Outputs:
        """Computes a batch, see `Network`."""
        del timeout_seconds
        return Outputs(*self._session.run(list(OUTPUTS), {IMAGES: images, PRODUCT: product}))

    def close(self) -> None:
        """Frees the memory."""
        del self._session
