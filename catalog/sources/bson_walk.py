"""Walks the documents of a BSON file, and resumes after damage. Knows no pictures.

The result depends on the file and on where the walk starts, never on how the file is cut into
ranges: a walk from any document's start yields what a walk from byte 0 yields from there on.
"""

from collections.abc import Iterator
from typing import NamedTuple

from catalog.formats import bson_batch, bson_document
from catalog.formats.bson_batch import Documents
from catalog.formats.bson_document import BadDocument
from catalog.schema import product_document
from catalog.schema.product_document import USUAL, Product, Schema
from catalog.storage import Reader

_AHEAD_BYTES = 64 << 10  # the last document of a range usually ends this soon after the range
_BLOCK_BYTES = 8 << 20  # read at once: small enough that the memory of the last block is reused
_SEARCH_BYTES = 8 << 20
_COPIED_BYTES = 64 << 10  # fewer are read again: prepending them would copy the next block
_SMALL_CUT_BYTES = 32  # a last document that lacks no more was probably the last one of the source
_SINGLY = 100  # documents to parse one by one after one with another layout

_TYPES = frozenset({*range(0x01, 0x14), 0x7F, 0xFF})


class Piece(NamedTuple):  # a tuple, as Product is
    """A document [start, end) of the file, or bytes that are not a document.

    Attributes:
      start: Offset in the file.
      end: Offset in the file.
      product: Its offsets count from `base`. None if there is an error.
      base: Offset in the file of the window's first byte.
      error: What is wrong. None for a product.
      gap: Whether an unknown number of bytes is missing here.
    """

    start: int
    end: int
    product: Product | None
    base: int
    error: BadDocument | None = None
    gap: bool = False


class Run(NamedTuple):
    """Consecutive documents [start, end) of the file, whose offsets count from `base`."""

    start: int
    end: int
    documents: Documents
    base: int


class Window:
    """The part of a file that is in memory: bytes [base, base + len(data))."""

    def __init__(self, reader: Reader, size: int, schema: Schema = USUAL) -> None:
        self._reader = reader
        self.size = size
        self.schema = schema
        self.base = 0
        self.data = b''

    def is_cut_off(self, at: int) -> bool:
        """Returns whether to load more of the document at `at`.

        False at the window's first byte: then the document is larger than a block.
        """
        start = at - self.base
        if start < 0 or start + bson_document.MIN_BYTES > len(self.data):
            return True
        return start > 0 and start + bson_document.framed_length(self.data, start) > len(self.data)

    def load(self, start: int, end: int) -> None:
        """Loads [start, end) into memory, or less if the file ends before `end`."""
        end = min(end, self.size)
        have = self.base + len(self.data)
        if start >= self.base and end <= have:
            return
        kept = self.data[start - self.base :] if self.base <= start < have else b''
        if len(kept) < _COPIED_BYTES:
            kept = b''
        self.data = b''  # frees its memory for what is read now
        self.data = kept + self._reader.read_at(start + len(kept), end - start - len(kept))
        self.base = start


def walk(window: Window, *, start: int, stop: int) -> Iterator[Piece | Run]:
    """Yields the pieces that begin in [start, stop), in order. A document begins at `start`."""
    at = start
    singly = 0  # documents left to parse one by one
    while at < min(stop, window.size):
        if window.is_cut_off(at):
            window.load(at, min(stop + _AHEAD_BYTES, at + _BLOCK_BYTES))
        run = None if singly else _run(window, at, stop)
        singly = (singly or _SINGLY) - 1
        if run:
            singly = 0
        piece = run or _document(window, at) or _damage(window, at)
        yield piece
        at = piece.end


def documents(window: Window, start: int, stop: int) -> Iterator[bytes]:
    """Yields documents of any schema that begin in [start, stop). Skips damage to a product."""
    at, stop = start, min(stop, window.size)
    while at < stop:
        window.load(at, at + _AHEAD_BYTES)
        end = _framed(window, at)
        if end:
            yield window.data[at - window.base : end - window.base]
        else:
            end = find_product(window, start=at + 1, stop=stop) or stop
        at = end


def find_product(window: Window, *, start: int, stop: int) -> int | None:
    """Returns the first place in [start, stop) where a product seems to begin: a guess."""
    at = start
    signature, size = window.schema.signature, window.schema.signature_bytes
    while at < stop:
        window.load(at, min(max(stop, at + 1), at + _SEARCH_BYTES) + size)
        data, base = window.data, window.base
        searched = min(stop, base + len(data) - size + 1, at + _SEARCH_BYTES)
        for match in signature.finditer(data, at - base):
            found = base + match.start()
            if found >= searched:
                break
            if _is_product(window, found):
                return found
        at = max(searched, at + 1)
        if at + bson_document.MIN_BYTES > window.size:
            break
    return None


def _run(window: Window, at: int, stop: int) -> Run | None:
    """Returns the documents with the usual layout from `at` to the end of the window."""
    if not window.schema.is_usual():
        return None
    found = bson_batch.read(window.data, at - window.base, stop - window.base)
    return Run(at, window.base + found.end, found, window.base) if found else None


def _framed(window: Window, at: int) -> int:
    """Returns where the document at `at` ends by its own length, or 0 if that is impossible."""
    if at + bson_document.MIN_BYTES > window.size:
        return 0
    start = at - window.base
    if not 0 <= start <= len(window.data) - bson_document.MIN_BYTES:
        window.load(at, at + bson_document.MIN_BYTES)
        start = at - window.base
    length = bson_document.framed_length(window.data, start)
    if not length or at + length > window.size:
        return 0
    if start + length > len(window.data):
        window.load(at, at + length)
    return 0 if window.data[at + length - 1 - window.base] else at + length


def _document(window: Window, at: int) -> Piece | None:
    """Returns the document at `at`, valid or not, if its length is plausible."""
    end = _framed(window, at)
    if not end:
        return None
    try:
        product = product_document.parse(window.data, at - window.base, schema=window.schema)
    except BadDocument as error:
        if _follows(window, end):
            return Piece(at, end, None, window.base, error)
        return None
    return Piece(at, end, product, window.base)


def _follows(window: Window, at: int) -> bool:
    """Returns whether the file ends at `at`, or a possible document begins there."""
    if at == window.size:
        return True
    return bool(_framed(window, at)) and window.data[at + 4 - window.base] in _TYPES


def _damage(window: Window, at: int) -> Piece:
    """Returns the bytes from `at` that are not a document, up to the next document."""
    end = _end_by_fields(window, at)
    if end:
        message = 'its length is wrong, its fields are intact'
        return Piece(at, end, None, window.base, BadDocument('bad_length', message))
    found = find_product(window, start=at + 1, stop=window.size)
    end = window.size if found is None else found
    gap = _is_gap(window, at, end)
    if found is None:
        message = f'the last {end - at} bytes are not a complete document'
        error = BadDocument('cut_off', message)
    else:
        message = f'{end - at} bytes are not a document'
        error = BadDocument('garbage', message)
    return Piece(at, end, None, at, error, gap)


def _is_gap(window: Window, at: int, end: int) -> bool:
    """Returns whether bytes are missing in the damage [at, end).

    They are if a document begins at `at`, and no other one where it ends, unless a zeroed block of
    a disk covers both.
    """
    window.load(at, at + window.schema.signature_bytes)
    start = at - window.base
    length = bson_document.framed_length(window.data, start)
    if not length or not window.schema.signature.match(window.data, start):
        return False
    stop = at + length
    if end == window.size:
        return stop > end + _SMALL_CUT_BYTES
    if stop > end:
        return True
    window.load(stop - 1, stop + 4)
    start = stop - 1 - window.base
    return stop < end and any(window.data[start : start + 5])


def _end_by_fields(window: Window, at: int) -> int:
    """Returns where the fields after a damaged length end, or 0 if they are damaged too."""
    window.load(at, min(at + bson_document.MAX_BYTES, window.size))
    start = at - window.base
    try:
        limit = min(start + bson_document.MAX_BYTES, len(window.data) + 1)
        schema = window.schema
        _, end = product_document.parse_elements(window.data, start, limit, schema=schema)
    except BadDocument:
        return 0
    end += window.base
    return end if end <= window.size and _follows(window, end) else 0


def _is_product(window: Window, at: int) -> bool:
    if not _framed(window, at):
        return False
    try:
        product_document.parse(window.data, at - window.base, schema=window.schema)
    except BadDocument:
        return False
    return True
