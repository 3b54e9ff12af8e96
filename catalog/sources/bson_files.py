"""BSON files: documents one after another, as `mongodump` and Kaggle write them.

Ranges, positions and offsets are in bytes. `file` is the index in `paths`. For a `.gz` file, size,
ranges and offsets are those of its unpacked bytes.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from catalog import storage
from catalog.errors import UserError
from catalog.listings import runs
from catalog.schema import product_document
from catalog.schema.fields import DOCUMENT_FIELDS, OWN_NAMES, Fields
from catalog.schema.product_document import USUAL, Schema
from catalog.sources import bson_walk, first_look, gzip_copies
from catalog.sources.source import Batch, Pictures, Piece, Products, Range, Rejected
from catalog.storage import Reader

Int64s = npt.NDArray[np.int64]

# Bytes that are read in vain rather than in a second read: a request to an object store takes as
# long as a few hundred KB, a system call as long as a few KB. Then the most that is read at once:
# the memory of a small piece is reused for the next one, and a store gets fewer requests.
_LOCAL_GAP_BYTES, _LOCAL_RUN_BYTES = 4 << 10, 1 << 20
_REMOTE_GAP_BYTES, _REMOTE_RUN_BYTES = 256 << 10, 8 << 20

_LOOK_BYTES = 32 << 20  # larger than the largest document
_LOOK_DOCUMENTS = 200

MAX_UNPACK_RATIO = 20.0  # pictures in BSON hardly shrink

_MOST_OPEN = 64  # local files that are open at once


@dataclass(frozen=True)
class BsonFiles:
    """Several BSON files as one source.

    Attributes:
      paths: Paths of the files, in order.
      sizes: Size of each file in bytes.
      schema: Schema of the documents.
    """

    paths: tuple[str, ...]
    sizes: tuple[int, ...]
    schema: Schema = USUAL

    def guesses_starts(self) -> bool:
        """Returns True: a range may begin within a document."""
        return True

    def joint_read_bytes(self) -> int:
        """Returns the largest gap in one request to an object store; 0 for local files."""
        return _REMOTE_GAP_BYTES if self._is_remote() else 0

    def key_bytes(self) -> int:
        """Returns the most bytes of a key."""
        return self.schema.key_bytes()

    def listed_names(self) -> bytes:
        """Returns the paths of the files."""
        return '\n'.join(self.paths).encode(errors='surrogateescape')

    def total_bytes(self) -> int:
        """Returns the size of all files."""
        return sum(self.sizes)

    def split(self, *, range_bytes: int) -> list[Range]:
        """Returns the ranges of the files in order."""
        return [
            Range(file, start, min(start + range_bytes, size))
            for file, size in enumerate(self.sizes)
            for start in range(0, size, range_bytes)
        ]

    def file_name(self, file: int) -> str:
        """Returns the path of a file."""
        return self.paths[file]

    def describe_place(self, rejected: Rejected) -> str:
        """Returns the path and offset of a rejected piece."""
        return f'{self.file_name(rejected.file)} at byte {rejected.offset}'

    def shown_offset(self, file: int, offset: int) -> int:
        """Returns the offset as it is."""
        del file
        return offset

    def notes(self) -> Sequence[str]:
        """Returns nothing: all is read."""
        return ()

    def read(self, part: Range) -> Iterator[Piece]:
        """Yields products and damaged pieces in order, from `part.first` or where one is found."""
        with self._open(part.file) as reader:
            window = bson_walk.Window(reader, self.sizes[part.file], self.schema)
            first = part.first
            if first is None:
                first = 0
                if part.start:
                    found = bson_walk.find_product(window, start=part.start, stop=part.stop)
                    if found is None:
                        return
                    first = found
            walked = bson_walk.walk(window, start=first, stop=part.stop)
            yield from _pieces(walked, window, file=part.file)

    def first_documents(self) -> Iterator[tuple[str, bytes]]:
        """Yields the first documents of each file, of any schema: path, bytes.

        Of a file that begins with other bytes, products in later parts are looked for.
        """
        for file, path in enumerate(self.paths):
            with self._open(file) as reader:
                found = _look(bson_walk.Window(reader, self.sizes[file], self.schema))
                for document in itertools.islice(found, _LOOK_DOCUMENTS):
                    yield path, document

    def fetch(self, pictures: Pictures) -> Iterator[bytes]:
        """Yields the bytes of pictures, in the order of the rows."""
        order = np.lexsort([pictures['offset'], pictures['file']])
        by_file = list(runs.groups(pictures.take(order), pictures['file'][order]))
        if self._is_remote() or len(by_file) > _MOST_OPEN:
            found = (
                picture for file, rows in by_file for picture in self._fetch_sorted(file, rows)
            )
            yield from [picture for _, picture in sorted(zip(order.tolist(), found, strict=True))]
            return
        # Single reads cost no more here, and their bytes stay in the processor's cache. All reads
        # are announced to the disk in advance, in its order.
        paths = {file: self._readable(file) for file, _ in by_file}
        for file, rows in by_file:
            _, begins, ends = self._joint_reads(rows)
            storage.prefetch(paths[file], zip(begins.tolist(), ends.tolist(), strict=True))
        places = (pictures[name].tolist() for name in ('file', 'offset', 'length'))
        yield from storage.read_pieces(paths, zip(*places, strict=True))

    def fetch_rejected(self, rejected: Rejected) -> bytes:
        """Returns the bytes of a rejected piece."""
        with self._open(rejected.file) as reader:
            return reader.read_at(rejected.offset, rejected.length)

    def _fetch_sorted(self, file: int, rows: Pictures) -> Iterator[bytes]:
        """Yields the pictures of one file, sorted by offset, with one read for near ones."""
        with self._open(file) as reader:
            first, begins, ends = (column.tolist() for column in self._joint_reads(rows))
            for begin, end, bounds in zip(begins, ends, pairwise([*first, len(rows)]), strict=True):
                data = reader.read_at(begin, end - begin)
                near = rows[slice(*bounds)]
                places = (near[name].tolist() for name in ('offset', 'length'))
                for offset, length in zip(*places, strict=True):
                    yield data[offset - begin : offset - begin + length]

    def _open(self, file: int) -> AbstractContextManager[Reader]:
        return storage.open_reader(self._readable(file))

    def _readable(self, file: int) -> str:
        """Returns the path of a file, or that of the unpacked copy of a gzip file."""
        path = self.paths[file]
        if not gzip_copies.is_gzip(path):
            return path
        return gzip_copies.local_copy(path, limit_bytes=self.sizes[file])

    def _is_remote(self) -> bool:
        """Whether pictures are read from an object store. gzip files are read from local copies."""
        return any(storage.is_remote(path) and not gzip_copies.is_gzip(path) for path in self.paths)

    def _joint_reads(self, rows: Pictures) -> tuple[Int64s, Int64s, Int64s]:
        """Returns the first row, the begin and the end of each read, from rows in order."""
        remote = self._is_remote()
        gap_bytes = _REMOTE_GAP_BYTES if remote else _LOCAL_GAP_BYTES
        run_bytes = _REMOTE_RUN_BYTES if remote else _LOCAL_RUN_BYTES
        ends = rows['offset'] + rows['length']
        apart = (rows['offset'][1:] - ends[:-1] > gap_bytes) | (
            rows['offset'][1:] // run_bytes != rows['offset'][:-1] // run_bytes
        )
        first = np.append(0, np.flatnonzero(apart) + 1)
        return first, rows['offset'][first], np.maximum.reduceat(ends, first)


def open_files(
    paths: Sequence[str],
    *,
    fields: Fields = OWN_NAMES,
    max_unpack_ratio: float = MAX_UNPACK_RATIO,
) -> BsonFiles:
    """Opens BSON files. A `.gz` file is unpacked immediately.

    Args:
      paths: Paths of the files.
      fields: Names of the fields.
      max_unpack_ratio: Largest size of a `.gz` file once unpacked, in sizes of the file.

    Raises:
      UserError: If all files are empty, or one unpacks to more than is allowed.
    """
    fields.check(DOCUMENT_FIELDS, source='BSON documents')
    first_look.check_containers(paths)
    for path in filter(gzip_copies.is_gzip, paths):
        gzip_copies.unpack(path, max_ratio=max_unpack_ratio)
    sizes = [
        storage.size(gzip_copies.copy_path(path) if gzip_copies.is_gzip(path) else path)
        for path in paths
    ]
    if not any(sizes):
        raise UserError(f'{paths[0]}: must contain BSON documents, got an empty file')
    for path in filter(gzip_copies.is_gzip, paths):
        first_look.check_unpacked(path, copy=gzip_copies.copy_path(path))
    opened = BsonFiles(tuple(paths), tuple(sizes), Schema(fields))
    documents = (document for _, document in opened.first_documents())
    return dataclasses.replace(opened, schema=product_document.recognize(documents, fields))


def _pieces(
    walked: Iterable[bson_walk.Piece | bson_walk.Run], window: bson_walk.Window, *, file: int
) -> Iterator[Piece]:
    """Yields walked documents as products, those of one window together, and the damage."""
    batch = Batch(b'')
    for piece in walked:
        product = piece.product if isinstance(piece, bson_walk.Piece) else None
        if len(batch) and (product is None or batch.data is not window.data):
            yield batch.products()
            batch = Batch(b'')
        if isinstance(piece, bson_walk.Run):
            yield _columns(piece, window.data)
        elif product:
            if not len(batch):
                batch = Batch(window.data)
            length = piece.end - piece.start
            batch.add(product, position=piece.start, length=length, shift=piece.base)
        elif piece.error:
            yield Rejected(
                reason=piece.error.reason,
                file=file,
                offset=piece.start,
                length=piece.end - piece.start,
                product_id=piece.error.product_id,
                picture=None,
                message=str(piece.error),
                gap=piece.gap,
                key=piece.error.key,
            )
    if len(batch):
        yield batch.products()


def _look(window: bson_walk.Window) -> Iterator[bytes]:
    """Yields documents from the beginning of a file and, if it is large, from later parts."""
    yield from bson_walk.documents(window, 0, _LOOK_BYTES)
    if window.size > _LOOK_BYTES:
        for quarter in (1, 2, 3):
            start = window.size * quarter // 4
            first = bson_walk.find_product(window, start=start, stop=start + _LOOK_BYTES)
            if first is not None:
                yield from bson_walk.documents(window, first, first + _LOOK_BYTES)


def _columns(run: bson_walk.Run, data: bytes) -> Products:
    documents = run.documents
    return Products(
        data=data,
        product_ids=documents.product_ids,
        category_ids=documents.category_ids,
        positions=documents.starts + run.base,
        lengths=np.diff(documents.starts, append=documents.end),
        views=documents.views,
        places=documents.places,
        offsets=documents.places[:, 0] + run.base,
    )
