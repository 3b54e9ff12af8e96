"""One shard file as it is written: framing, compression, digest, size. Knows no rows."""

import gzip
import hashlib
from collections.abc import Sequence
from typing import Any, BinaryIO, cast

from catalog.formats import tfrecord

_GZIP_LEVEL = 6


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

    def write(self, records: Sequence[bytes]) -> None:
        """Adds records. Better many: digesting and writing one by one costs more."""
        self._target.write(tfrecord.frames(records))

    def close(self) -> None:
        """Ends what was written; the file itself stays open."""
        self._target.close()

    def put(self, data: bytes) -> int:
        """Writes bytes as they go into the file."""
        self.sha256.update(data)
        self.bytes += len(data)
        return self._file.write(data)


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
