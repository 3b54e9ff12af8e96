"""The records of a shard, in order."""

import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from google.protobuf.message import DecodeError

from catalog import record, storage
from catalog.errors import UserError
from catalog.formats import tfrecord
from catalog.formats.tfrecord import CorruptRecord
from catalog.record import Record


def read(path: str) -> Iterator[Record]:
    """Yields the records of a shard, local or `gs://`.

    Raises:
      UserError: If it is damaged.
    """
    try:
        with _open(path) as file:
            for serialized in tfrecord.read(file):
                yield record.decode(serialized)
    except (
        CorruptRecord,
        DecodeError,
        gzip.BadGzipFile,
        zlib.error,
        EOFError,
        IndexError,
    ) as error:
        raise UserError(f'{path}: must be an intact shard of products, got: {error}') from error


@contextlib.contextmanager
def _open(path: str) -> Iterator[BinaryIO]:
    with contextlib.ExitStack() as stack:
        raw: BinaryIO
        if storage.is_remote(path):
            raw = io.BytesIO(storage.read_bytes(path))
        else:
            raw = stack.enter_context(open(path, 'rb'))
        yield cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if path.endswith('.gz') else raw
