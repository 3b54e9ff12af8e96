"""Which streams of examples a worker reads, and which examples of each it takes. Reads no file.

A run reads one stream (`input.reading=shared`), or one for each host that it began on (`sharded`).
The streams share an epoch: each reads an equal part of its records, see `reading_order`. A batch
takes equally many examples of every stream, in the order of the streams, and the workers divide it.
So what a batch holds does not depend on the number of workers: they may be fewer than the streams,
or more.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """What a worker takes of a stream.

    Attributes:
      stream: Index of the stream.
      rows: Rows of the stream's own examples in a batch.
    """

    stream: int
    rows: slice

    @property
    def is_first(self) -> bool:
        """Whether the first row is among them: one worker has that of each stream."""
        return bool(self.rows.start == 0)


def shares(batch_size: int, *, streams: int, worker: int, num_workers: int) -> list[Share]:
    """Returns what a worker takes of the streams, which is its part of each batch.

    Args:
      batch_size: Examples in a batch, a multiple of `streams` and of `num_workers`.
      streams: Number of streams.
      worker: Index of the worker.
      num_workers: Number of workers.
    """
    own, each = batch_size // num_workers, batch_size // streams
    first, end = worker * own, (worker + 1) * own
    return [
        Share(stream, slice(max(first - stream * each, 0), min(end - stream * each, each)))
        for stream in range(first // each, -(-end // each))
    ]
