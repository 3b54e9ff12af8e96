"""Writes one shard file: framing, compression, digest, size. Knows no rows."""

import gzip
import hashlib
from collections.abc import Sequence
from typing import Any, BinaryIO, cast

from catalog.formats import tfrecord

_GZIP_LEVEL = 6


class ShardFile:
    """Frames records into an open file. Call `close` before closing the file.

    Attributes:
      bytes: Number of bytes written.
      sha256: Digest of the bytes written.
    """

    def __init__(self, file: BinaryIO, *, compression: str) -> None:
        self._file = file
        self.bytes = 0
        self.sha256 = hashlib.sha256()
        self._target: Any = _Digesting(self)
        if compression == 'gzip':
            # No name and no time in the header, so that equal content gives equal bytes.
            self._target = gzip.GzipFile(
                filename='',
                mode='wb',
                compresslevel=_GZIP_LEVEL,
                fileobj=cast(BinaryIO, self._target),
                mtime=0,
            )

    def write(self, records: Sequence[bytes]) -> None:
        """Writes records. Many at once cost less than one by one."""
        self._target.write(tfrecord.frames(records))

    def close(self) -> None:
        """Ends the compressed stream. The file itself stays open."""
        self._target.close()

    def write_raw(self, data: bytes) -> int:
        """Writes bytes to the file without framing or compression."""
        self.sha256.update(data)
        self.bytes += len(data)
        return self._file.write(data)


class _Digesting:
    """A file object for gzip that writes through to the shard file."""

    def __init__(self, shard: ShardFile) -> None:
        self._shard = shard

    def write(self, data: bytes) -> int:
        return self._shard.write_raw(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass
