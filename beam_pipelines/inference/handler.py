"""Beam's handler of an exported model, for RunInference.

An element is whatever `answer` takes: here a part of a source, which is read, decoded and predicted
in one call. Pictures never travel between steps, and a chunk of products that the model computes
together is the same on every runner.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from apache_beam.ml.inference.base import ModelHandler

from beam_pipelines.inference import memory_patch, opening
from catalog.predictions.model import Model

Answer = Callable[[Model, Any], Any]


class ExportedModelHandler(ModelHandler):  # type: ignore[misc]
    """Loads an exported model once in each worker process, and answers elements with it.

    Args:
      path: A version folder.
      fingerprint: Its `version_folder.fingerprint`.
      answer: Called with the model and an element. Sent to the workers.
    """

    def __init__(self, path: str, fingerprint: str, answer: Answer) -> None:
        super().__init__()
        self._path, self._fingerprint, self._answer = path, fingerprint, answer

    def should_skip_batching(self) -> bool:
        """Returns True: RunInference gets batches, the same on every runner."""
        return True

    def set_environment_vars(self) -> None:
        """Prepares a worker before the model is loaded."""
        memory_patch.patch()
        super().set_environment_vars()

    def load_model(self) -> Model:
        """Loads the model."""
        return opening.open_model(self._path, self._fingerprint)

    def run_inference(
        self, batch: Sequence[Any], model: Model, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Any]:
        """Yields the answer to each element."""
        del inference_args
        for element in batch:
            yield self._answer(model, element)
