"""A network in LiteRT's format (formerly TensorFlow Lite), on the processor with XNNPACK."""

import os
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from catalog.networks.network import IMAGES, OUTPUTS, PRODUCT, Outputs


class LiteRtNetwork:
    """An interpreter, which computes one batch at a time and cannot be stopped."""

    def __init__(self, path: str, *, threads: int = 0) -> None:
        """Loads a network; `threads` of a run, 0 for all cores."""
        self._interpreter = Interpreter(
            model_path=path, num_threads=threads or len(os.sched_getaffinity(0))
        )
        self._runner: Any = self._interpreter.get_signature_runner()
        self._lock = threading.Lock()

    def run(
        self,
        images: npt.NDArray[np.uint8],
        product: npt.NDArray[np.int64],
        *,
        timeout_seconds: float | None = None,
    ) -> Outputs:
        """Computes a batch, see `Network`."""
        acquired = self._lock.acquire(timeout=-1 if timeout_seconds is None else timeout_seconds)
        if not acquired:
            raise TimeoutError
        try:
            outputs = self._runner(**{IMAGES: images, PRODUCT: product})
            return Outputs(*(np.array(outputs[name]) for name in OUTPUTS))
        finally:
            self._lock.release()

    def close(self) -> None:
        """Frees the memory."""
        del self._runner, self._interpreter
