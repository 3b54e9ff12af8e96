"""Loads one version: verifies its files, loads it, replays its warm-up requests.

The files are verified before any of them is used: loading a graph can run it, and a graph can
write files.
"""

import time
from dataclasses import dataclass, field

import tensorflow as tf

from catalog.digests import folder as digests
from catalog.digests.keys import PublicKey
from catalog.errors import UserError
from serving.batching.admission import THREADS, Admission, max_requests
from serving.batching.model import QueuedModel
from serving.config.batching import ALONE, Batching
from serving.monitoring.server_metrics import ServerMetrics
from serving.protocol.status import Code, RequestError
from serving.runtimes import warmup
from serving.runtimes.model import Model
from serving.runtimes.opening import open_model
from serving.runtimes.saved_model import to_request_error


@dataclass(frozen=True)
class LoadedModel:
    """A model that has been warmed up.

    Attributes:
      model: The model; the owner closes it.
      description: How it was loaded, for the operator.
    """

    model: Model
    description: str


@dataclass(frozen=True)
class Loader:
    """Loads versions.

    Attributes:
      digests_key: If given, only folders with its owner's signature are loaded.
      batching: How requests are queued and combined.
      admission: How many requests may be in the server.
      metrics: Where loading and requests are measured.
    """

    digests_key: PublicKey | None = None
    batching: Batching = ALONE
    admission: Admission = field(default_factory=lambda: Admission(max_requests(THREADS)))
    metrics: ServerMetrics = field(default_factory=ServerMetrics)

    def load(self, path: str, *, model_name: str) -> LoadedModel:
        """Loads a version folder of a model.

        Raises:
          RequestError: The reason of a failure.
        """
        start = time.monotonic()
        try:
            model, verified = self._load(path)
            try:
                warmups = self._warm_up(model, path)
            except BaseException:
                model.close()
                raise
        except Exception as error:  # a faulty new version must not stop the old one
            self.metrics.loads.add(1, path, 'fail')
            raise _to_request_error(error) from error
        self.metrics.loads.add(1, path, 'success')
        seconds = time.monotonic() - start
        files = f'{verified} files' if verified != 'unverified' else 'no digests.json'
        queued = QueuedModel(
            model,
            self.batching,
            admission=self.admission,
            metrics=self.metrics.for_model(model_name, runtime=model.runtime),
        )
        return LoadedModel(
            queued,
            f'loaded in {seconds:.1f} s, runtime {model.runtime}, {warmups} warm-up requests, '
            f'{files}',
        )

    def _load(self, path: str) -> tuple[Model, digests.Verified]:
        start = time.monotonic()
        verified = digests.verify(path, key=self.digests_key)
        model = open_model(path)
        self.metrics.load_time.add((time.monotonic() - start) * 1e6, path)
        return model, verified

    def _warm_up(self, model: Model, path: str) -> int:
        start, status = time.monotonic(), Code.INTERNAL
        try:
            count = warmup.replay(model, path)
            status = Code.OK
        finally:
            microseconds = (time.monotonic() - start) * 1e6
            self.metrics.warmup_latency.observe(microseconds, path, status.name)
        return count


def _to_request_error(error: Exception) -> RequestError:
    match error:
        case RequestError():
            return error
        case tf.errors.OpError():
            return to_request_error(error)
        case FileNotFoundError():
            return RequestError(Code.NOT_FOUND, str(error))
        case UserError():
            return RequestError(Code.FAILED_PRECONDITION, str(error))
        case _:
            return RequestError(Code.UNKNOWN, f'{type(error).__name__}: {error}')
