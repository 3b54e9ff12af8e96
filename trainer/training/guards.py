"""What stops a run: a damaged shard, a picture that is none, numbers that are no longer finite."""

import contextlib
import math
import re
from collections.abc import Iterator

import tensorflow as tf

from catalog import manifest
from catalog.errors import UserError
from trainer.data import data_set
from trainer.data.data_set import DataSet
from trainer.training.step import State
from trainer.training.step import Window

_BAD_INPUT = (
    tf.errors.DataLossError,
    tf.errors.FailedPreconditionError,  # a shard with fewer records than it should have
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
)


class NotFinite(UserError):
    """A loss or weights that are infinite or not a number."""


@contextlib.contextmanager
def damaged_input_is_named(data: DataSet, *, split: str) -> Iterator[None]:
    """Turns what TensorFlow raises for a bad shard or picture into one line.

    Raises:
      UserError: naming the shard.
    """
    try:
        yield
    except _BAD_INPUT as error:
        # The reader does not say which file it was in: the digests do. If all are right, the fault
        # is not the data's.
        manifest.check_files(data.folder, data.split(split))
        data_set.check_digests(data.folder, data.split(split).shards)
        if not re.search(r'\bDecode', error.message):  # the node that failed
            raise
        raise UserError(
            f'{data.folder}: every picture of the {split} split must be decodable, one is not, '
            'though the shards are whole: the shard job let it pass'
        ) from error


def check_loss(window: Window, *, done: int) -> None:
    """Checks that the loss is finite.

    Raises:
      NotFinite: if it is not.
    """
    loss = float(window.loss.numpy())
    if not math.isfinite(loss):
        raise NotFinite(
            f'the loss must be finite, got {loss} by step {done}; '
            'the last checkpoint is from before: lower optimizer.learning_rate or warm up longer'
        )


def check_weights(state: State, *, done: int) -> None:
    """Checks that what is about to be saved is finite.

    Raises:
      NotFinite: if it is not.
    """
    if not state.is_finite():
        raise NotFinite(
            f'the weights must be finite, some are not after step {done}, which is not saved; '
            'the last checkpoint is from before: lower optimizer.learning_rate or warm up longer'
        )
