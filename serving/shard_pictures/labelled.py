"""Reads the first pictures of a split, one of each product."""

import contextlib
import gzip
import io
import itertools
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

from catalog import manifest, record, storage
from catalog.errors import UserError
from catalog.formats import tfrecord


class LabelledPicture(NamedTuple):
    """A picture with its label, the row of its category in category_names.csv."""

    encoded: bytes
    label: int


def read(folder: str, split: str, *, limit: int) -> list[LabelledPicture]:
    """Reads pictures. The records of a shard are shuffled, so that its first ones are a sample.

    Args:
      folder: A data set of the shard job.
      split: Name of the split.
      limit: Number of pictures, or all if there are fewer; the first one of each record.

    Raises:
      UserError: If there is no such data set or split, or it has no labelled picture.
    """
    data = manifest.read(folder)
    found = list(itertools.islice(_pictures(folder, data, split), limit))
    if not found:
        raise UserError(f'{folder}: the split {split} must have labelled pictures, got none')
    return found


def check_categories(folder: str, sha256: str) -> None:
    """Checks that a data set has the category tree of a model.

    Raises:
      UserError: If it has another one.
    """
    tree = manifest.read_categories(folder, manifest.read(folder))
    if tree.sha256 != sha256:
        raise UserError(f'{folder}: must have the category tree of the model, got another one')


def _pictures(folder: str, data: manifest.Manifest, split: str) -> Iterator[LabelledPicture]:
    for shard in manifest.get_split(data, split, folder=folder).shards:
        with _opened(storage.join(folder, shard.file)) as file:
            for serialized in tfrecord.read(file):
                one = record.decode(serialized)
                if one.category is not None and one.pictures:
                    yield LabelledPicture(one.pictures[0], one.category.label)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    raw: BinaryIO
    with (
        io.BytesIO(storage.read_bytes(path)) if storage.is_remote(path) else open(path, 'rb') as raw
    ):
        if path.endswith('.gz'):
            with gzip.open(raw) as file:
                yield cast(BinaryIO, file)
        else:
            yield raw
