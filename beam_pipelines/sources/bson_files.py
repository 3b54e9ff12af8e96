"""BSON files: documents one after another, as `mongodump` and Kaggle give them.

Units of a range are bytes. `file` in a row is the position in `paths`. A `.gz` file stands for what
it unpacks to: its size, ranges and offsets are those of the unpacked bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from beam_pipelines.scan.scan import Range, Rejected, Scan, Scanner
from beam_pipelines.sources import bson_walk, unpacked
from beam_pipelines.table import Table, groups
from catalog import storage
from catalog.errors import UserError
from catalog.storage import Reader

Int64s = npt.NDArray[np.int64]

# Bytes that are read for nothing rather than asked for anew: a request to an object store costs as
# much time as a few hundred KB, a system call as much as a few KB. Then, the most that is read at
# once: memory of a small piece is used again for the next, a store is asked less often.
_LOCAL_GAP_BYTES, _LOCAL_RUN_BYTES = 4 << 10, 1 << 20
_REMOTE_GAP_BYTES, _REMOTE_RUN_BYTES = 256 << 10, 8 << 20

_MOST_OPEN = 64  # local files that are read at once


@dataclass(frozen=True)
class BsonFiles:
    """Several BSON files as one source, in the order of `paths`."""

    paths: tuple[str, ...]
    sizes: tuple[int, ...]

    def split(self, *, range_bytes: int) -> list[Range]:
        """The ranges of the files, in order."""
        return [
            Range(file, start, min(start + range_bytes, size))
            for file, size in enumerate(self.sizes)
            for start in range(0, size, range_bytes)
        ]

    def total_bytes(self) -> int:
        """The size of all files."""
        return sum(self.sizes)

    def name(self, file: int) -> str:
        """The path of a file."""
        return self.paths[file]

    def place(self, rejected: Rejected) -> str:
        """The path and offset of a rejected piece."""
        return f'{self.name(rejected.file)} at byte {rejected.offset}'

    def scan(
        self,
        scanned: Range,
        *,
        label_of: Mapping[int, int] | None,
        decode: bool,
        start: int | None = None,
    ) -> Scan:
        """Scans a range. Without `start`, its first document is where one seems to begin."""
        scanner = Scanner(label_of, decode=decode, file=scanned.file)
        end = None
        with _open(self.paths[scanned.file]) as reader:
            window = bson_walk.Window(reader, self.sizes[scanned.file])
            if start is None:
                start = 0
                if scanned.start:
                    found = bson_walk.find_first(window, start=scanned.start, stop=scanned.stop)
                    if found is None:
                        return scanner.result(scanned, first=None, end=None)
                    start = found
            first = start if start < scanned.stop else None
            for piece in bson_walk.walk(window, start=start, stop=scanned.stop):
                length = piece.end - piece.start
                end = piece.end
                if isinstance(piece, bson_walk.Run):
                    scanner.add_all(piece.documents, window.data, base=piece.base)
                elif piece.product:
                    scanner.add(
                        piece.product,
                        window.data,
                        base=piece.base,
                        offset=piece.start,
                        length=length,
                    )
                elif piece.error:
                    scanner.reject_piece(
                        reason=piece.error.reason,
                        message=str(piece.error),
                        offset=piece.start,
                        length=length,
                        product_id=piece.error.product_id,
                    )
        return scanner.result(scanned, first=first, end=end)

    def end_of(self, scanned: Range, *, start: int) -> int:
        """Where the last document that begins in a range ends, if one begins at `start`."""
        end = start
        with _open(self.paths[scanned.file]) as reader:
            window = bson_walk.Window(reader, self.sizes[scanned.file])
            for piece in bson_walk.walk(window, start=start, stop=scanned.stop):
                end = piece.end
        return end

    def fetch(self, table: Table) -> Iterator[bytes]:
        """The pictures of the rows, in their order."""
        order = np.lexsort([table['offset'], table['file']])
        by_file = list(groups(table.take(order), table['file'][order]))
        if self._is_remote() or len(by_file) > _MOST_OPEN:
            found = (picture for file, rows in by_file for picture in self._read(file, rows))
            yield from [picture for _, picture in sorted(zip(order.tolist(), found, strict=True))]
            return
        # One by one costs no more here, and what is read stays in a processor's cache. A disk is
        # told before what will be asked for, in its own order.
        paths = {file: _readable(self.paths[file]) for file, _ in by_file}
        for file, rows in by_file:
            _, begins, ends = self._runs(rows)
            storage.prefetch(paths[file], zip(begins.tolist(), ends.tolist(), strict=True))
        places = (table[name].tolist() for name in ('file', 'offset', 'length'))
        yield from storage.read_pieces(paths, zip(*places, strict=True))

    def fetch_rejected(self, rejected: Rejected) -> bytes:
        """The bytes of a rejected piece."""
        with _open(self.paths[rejected.file]) as reader:
            return reader.read_at(rejected.offset, rejected.length)

    def _read(self, file: int, rows: Table) -> Iterator[bytes]:
        """The pictures of rows of one file, sorted by offset: one read for those that are near."""
        with _open(self.paths[file]) as reader:
            first, begins, ends = (column.tolist() for column in self._runs(rows))
            for begin, end, rows_of in zip(
                begins, ends, pairwise([*first, len(rows)]), strict=True
            ):
                data = reader.read_at(begin, end - begin)
                of_run = rows[slice(*rows_of)]
                places = (of_run[name].tolist() for name in ('offset', 'length'))
                for offset, length in zip(*places, strict=True):
                    yield data[offset - begin : offset - begin + length]

    def _is_remote(self) -> bool:
        return storage.is_remote(_readable(self.paths[0]))

    def _runs(self, rows: Table) -> tuple[Int64s, Int64s, Int64s]:
        """Runs of sorted rows that one read serves: its first row, where it begins and ends."""
        gap_bytes = _REMOTE_GAP_BYTES if self._is_remote() else _LOCAL_GAP_BYTES
        run_bytes = _REMOTE_RUN_BYTES if self._is_remote() else _LOCAL_RUN_BYTES
        ends = rows['offset'] + rows['length']
        apart = (rows['offset'][1:] - ends[:-1] > gap_bytes) | (
            rows['offset'][1:] // run_bytes != rows['offset'][:-1] // run_bytes
        )
        first = np.append(0, np.flatnonzero(apart) + 1)
        return first, rows['offset'][first], np.maximum.reduceat(ends, first)


def open_files(paths: Sequence[str]) -> BsonFiles:
    """Opens BSON files. A `.gz` file is unpacked now, in one piece.

    Raises:
      UserError: if no file has a byte.
    """
    for path in filter(unpacked.is_packed, paths):
        unpacked.unpack(path)
    sizes = [storage.size(_readable(path)) for path in paths]
    if not any(sizes):
        raise UserError(f'{paths[0]}: must hold BSON documents, got an empty file')
    return BsonFiles(tuple(paths), tuple(sizes))


def _readable(path: str) -> str:
    """The file to read for a path: itself, or the copy of what it unpacks to."""
    return unpacked.copy_of(path) if unpacked.is_packed(path) else path


def _open(path: str) -> AbstractContextManager[Reader]:
    return storage.open_reader(_readable(path))
