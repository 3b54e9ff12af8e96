"""One shard file as it is written: framing, compression, digest, size. Knows no rows."""

import gzip
import hashlib
from typing import Any, BinaryIO, cast

from catalog import tfrecord

_GZIP_LEVEL = 6
# Records are handed on together: digesting and writing one by one costs more. A block stays in a
# core's cache meanwhile.
_BLOCK_BYTES = 256 << 10


class ShardFile:
    """Frames records into an open file. `close` must be called before the file is.

    Attributes:
      bytes: that were written.
      sha256: of the bytes that were written.
    """

    def __init__(self, file: BinaryIO, *, compression: str) -> None:
        self._file = file
        self.bytes = 0
        self.sha256 = hashlib.sha256()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._target: Any = _Digesting(self)
        if compression == 'gzip':
            # No name and no time in the header: equal content, equal bytes.
            self._target = gzip.GzipFile(
                filename='',
                mode='wb',
                compresslevel=_GZIP_LEVEL,
                fileobj=cast(BinaryIO, self._target),
                mtime=0,
            )

    def write(self, record: bytes) -> None:
        """Adds a record."""
        self._pending += tfrecord.frame_pieces(record)
        self._pending_bytes += len(record) + tfrecord.FRAME_BYTES
        if self._pending_bytes >= _BLOCK_BYTES:
            self._flush()

    def close(self) -> None:
        """Writes what is pending; the file itself stays open."""
        self._flush()
        self._target.close()

    def put(self, data: bytes) -> int:
        """Writes bytes as they go into the file."""
        self.sha256.update(data)
        self.bytes += len(data)
        return self._file.write(data)

    def _flush(self) -> None:
        self._target.write(b''.join(self._pending))
        self._pending.clear()
        self._pending_bytes = 0


class _Digesting:
    """What gzip takes for a file: it writes through to the shard file."""

    def __init__(self, shard: ShardFile) -> None:
        self._shard = shard

    def write(self, data: bytes) -> int:
        return self._shard.put(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass
