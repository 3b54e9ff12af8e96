"""Collects the undecodable pictures of a split and names each once on standard error."""

import hashlib
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog import terminal
from trainer.undecodable.place import Place
from trainer.undecodable.places import find_places

_SEARCH_SHARE = 0.05  # of a run's time


class UndecodableLog:
    """The undecodable pictures of a split that this process has met.

    Usage:
      log = UndecodableLog(data.paths('train'))
      batches = train_batches(data, spec, undecodable=log)
      …
      log.report()

    Attributes:
      places: Where those are that have been named, in the order of their naming.
    """

    def __init__(self, shards: Sequence[str]) -> None:
        """Takes the paths of the shard files of the split."""
        self.places: list[Place] = []
        self._shards = shards
        self._lock = threading.Lock()  # several threads decode
        self._seen: set[bytes] = set()
        self._unnamed: list[bytes] = []
        self._started = time.monotonic()
        self._search_seconds = 0.0

    def observe(self, encoded: tf.Tensor, decodable: tf.Tensor) -> tf.Tensor:
        """Adds the undecodable pictures of a batch when the returned tensor is computed.

        Args:
          encoded: string [N].
          decodable: bool [N].

        Returns:
          `decodable`.
        """

        def add() -> tf.Tensor:
            return tf.numpy_function(self._add, [encoded, decodable], tf.bool, stateful=False)

        same = tf.cond(tf.reduce_all(decodable), lambda: decodable, add)
        return tf.ensure_shape(same, decodable.shape)

    def _add(
        self, encoded: npt.NDArray[Any], decodable: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        for picture in encoded[~decodable]:
            digest = hashlib.sha256(picture).digest()
            with self._lock:
                if digest not in self._seen:
                    self._seen.add(digest)
                    self._unnamed.append(picture)
        return decodable

    def report(self, *, at_once: bool = True) -> None:
        """Names the pictures that have not been named.

        This reads the shards, which takes minutes for millions of pictures.

        Args:
          at_once: False waits for a later call if searches took too much of the run's time so far.
        """
        start = time.monotonic()
        busy = self._search_seconds > _SEARCH_SHARE * (start - self._started)
        if not self._unnamed or (busy and not at_once):
            return
        with self._lock:
            pictures, self._unnamed = self._unnamed, []
        known = set(self.places)
        found = [place for place in find_places(self._shards, pictures) if place not in known]
        self.places += found
        self._search_seconds += time.monotonic() - start
        for place in found:
            line = f'warning: {place} is undecodable and is passed over'
            print(terminal.escape(line), file=sys.stderr, flush=True)
