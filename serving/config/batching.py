"""How requests are combined into batches: the BatchingParameters file."""

import os
from dataclasses import dataclass

from catalog.errors import UserError
from serving.config import text_file
from serving.config.messages import BatchingParameters

_CPUS = os.cpu_count() or 1


@dataclass(frozen=True)
class Batching:
    """The batches of one version of a model; the defaults are TensorFlow Serving's.

    Attributes:
      max_batch_size: Rows in a batch; None runs each request alone.
      max_enqueued_batches: Batches that may wait; more requests are refused.
      threads: Batches that run at the same time.
      thread_pool_name: Name of the threads, and in the metrics.
    """

    max_batch_size: int | None = 1000
    max_enqueued_batches: int = 10
    threads: int = _CPUS
    thread_pool_name: str = 'model_server_batch_threads'

    def __post_init__(self) -> None:
        sizes = {
            'max_batch_size': self.max_batch_size,
            'max_enqueued_batches': self.max_enqueued_batches,
            'num_batch_threads': self.threads,
        }
        for name, value in sizes.items():
            if value is not None and value < 1:
                raise UserError(f'{name} must be at least 1, got {value}')

    @property
    def capacity(self) -> int:
        """Rows that may wait, or requests if each runs alone."""
        return self.max_enqueued_batches * (self.max_batch_size or 1)


ALONE = Batching(max_batch_size=None, max_enqueued_batches=64, threads=max(4, 2 * _CPUS))


def read(path: str) -> Batching:
    """Reads a BatchingParameters file; parameters that it leaves out keep their defaults.

    No request ever waits for others: a batch is what queued while the last one ran. So any
    `batch_timeout_micros`, the longest time to wait, is kept.

    Raises:
      UserError: If the file is invalid, or has a parameter that this server does not offer.
    """
    message = text_file.read(path, BatchingParameters())
    text_file.refuse(path, message, 'allowed_batch_sizes', 'pad_variable_length_inputs')
    if message.batch_timeout_micros.value < 0:
        raise UserError(f'{path}: batch_timeout_micros must not be negative')
    fields = {
        'max_batch_size': 'max_batch_size',
        'max_enqueued_batches': 'max_enqueued_batches',
        'num_batch_threads': 'threads',
        'thread_pool_name': 'thread_pool_name',
    }
    values = {
        name: getattr(message, field).value
        for field, name in fields.items()
        if message.HasField(field)
    }
    try:
        return Batching(**values)
    except UserError as error:
        raise UserError(f'{path}: {error}') from error
