"""A network in OpenVINO's format, on the processor."""

import contextlib
import queue
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from catalog.networks.network import IMAGES, OUTPUTS, PRODUCT, Outputs, Precision

# int8 networks have their scales inside; what is not quantized in them runs as float32.
_HINTS: dict[Precision, str] = {'fp32': 'f32', 'bf16': 'bf16', 'int8': 'f32'}


class OpenVinoNetwork:
    """A compiled network, with an inference request for each run in progress."""

    def __init__(self, path: str, *, precision: Precision, threads: int = 0) -> None:
        """Loads and compiles a network.

        Args:
          path: The .xml file; the .bin file is beside it.
          precision: The precision that it computes in.
          threads: Threads of a run; 0 for all cores.
        """
        options: dict[str, Any] = {
            'INFERENCE_PRECISION_HINT': _HINTS[precision],
            'PERFORMANCE_HINT': 'LATENCY',  # one batch at a time, on all cores
        }
        if threads:
            options['INFERENCE_NUM_THREADS'] = threads
        self._compiled = openvino.Core().compile_model(path, 'CPU', options)
        self._idle: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()

    def run(
        self,
        images: npt.NDArray[np.uint8],
        product: npt.NDArray[np.int64],
        *,
        timeout_seconds: float | None = None,
    ) -> Outputs:
        """Computes a batch, see `Network`. A run that exceeds its time limit is cancelled."""
        inputs = {
            IMAGES: openvino.Tensor(np.ascontiguousarray(images)),
            PRODUCT: openvino.Tensor(np.ascontiguousarray(product)),
        }
        with self._request() as request:
            request.start_async(inputs)
            if timeout_seconds is None:
                request.wait()
            elif not request.wait_for(max(1, round(timeout_seconds * 1000))):
                request.cancel()
                with contextlib.suppress(RuntimeError):  # says that it was cancelled
                    request.wait()
                raise TimeoutError
            return Outputs(*(request.get_tensor(name).data.copy() for name in OUTPUTS))

    def close(self) -> None:
        """Frees the memory."""
        self._idle = queue.SimpleQueue()
        del self._compiled

    @contextlib.contextmanager
    def _request(self) -> Iterator[openvino.InferRequest]:
        """Yields an idle request, of which memory is reused, or a new one."""
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        try:
            yield request
        finally:
            self._idle.put(request)
