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
from serving.protocol.status import Code, RequestError
from serving.runtimes import warmup
from serving.runtimes.model import Model
from serving.runtimes.saved_model import SavedModel, to_request_error


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
    """

    digests_key: PublicKey | None = None
    batching: Batching = ALONE
    admission: Admission = field(default_factory=lambda: Admission(max_requests(THREADS)))

    def load(self, path: str) -> LoadedModel:
        """Loads a version folder.

        Raises:
          RequestError: The reason of a failure.
        """
        start = time.monotonic()
        try:
            verified = digests.verify(path, key=self.digests_key)
            model = SavedModel(path)
            try:
                warmups = warmup.replay(model, path)
            except BaseException:
                model.close()
                raise
        except Exception as error:  # a faulty new version must not stop the old one
            raise _to_request_error(error) from error
        seconds = time.monotonic() - start
        files = f'{verified} files' if verified != 'unverified' else 'no digests.json'
        queued = QueuedModel(model, self.batching, admission=self.admission)
        return LoadedModel(
            queued, f'loaded in {seconds:.1f} s with {warmups} warm-up requests, {files}'
        )


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
