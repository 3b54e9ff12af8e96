"""What one range of a source gives: rows, rejected pieces, counts. Knows no source, no Beam."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from beam_pipelines import pictures
from beam_pipelines.table import SCANNED, Table
from catalog.document import Product
from catalog.picture import BadPicture


@dataclass(frozen=True)
class Range:
    """A part of a source: [start, stop) of one file, in the source's own units."""

    file: int
    start: int
    stop: int


@dataclass(frozen=True)
class Rejected:
    """A piece of the source that cannot be used.

    Attributes:
      reason: one word, as in the ledger.
      file: which file of the source.
      offset: where the piece begins.
      length: its bytes.
      product_id: where it is known.
      picture: the position in the document if one picture is rejected, None for all of it.
      message: what was wrong.
    """

    reason: str
    file: int
    offset: int
    length: int
    product_id: int | None
    picture: int | None
    message: str


@dataclass
class Counts:
    """Documents and pictures by where they went; `read` counts them all."""

    documents: Counter[str] = field(default_factory=Counter)
    pictures: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, other: 'Counts') -> None:
        """Adds the counts of another."""
        self.documents.update(other.documents)
        self.pictures.update(other.pictures)
        self.notes.update(other.notes)


@dataclass(frozen=True)
class Scan:
    """What a range gave.

    Attributes:
      range: that was scanned.
      first: where its first document begins; None if it has none.
      end: where the last document that begins in it ends; None if it has none.
      table: a row a usable picture: SCANNED.
      rejected: what cannot be used.
      counts: everything that was read, and what was rejected.
      bytes: of the documents and of the pieces that are none.
    """

    range: Range
    first: int | None
    end: int | None
    table: Table
    rejected: tuple[Rejected, ...]
    counts: Counts
    bytes: int


class Scanner:
    """Collects the rows, rejected pieces and counts of one range.

    Args:
      label_of: the label by category id; None for unlabelled data.
      decode: whether every picture is decoded.
      file: the number of the file that is scanned.
    """

    def __init__(self, label_of: Mapping[int, int] | None, *, decode: bool, file: int) -> None:
        self._label_of = label_of
        self._decode = decode
        self._file = file
        self._rows: list[tuple[int, ...]] = []
        self._hashes: list[npt.NDArray[np.uint64]] = []
        self._rejected: list[Rejected] = []
        self._counts = Counts()
        self._bytes = 0
        # Products of one piece of data are looked at together.
        self._data = b''
        self._base = 0
        self._waiting: list[tuple[Product, int, int]] = []  # with label and offset

    def add(self, product: Product, data: bytes, *, base: int, offset: int, length: int) -> None:
        """Takes a product.

        Args:
          product: whose pictures lie in `data`.
          data: bytes of the source; those of products that come one after another may be the same.
          base: where `data` begins in the source.
          offset: where the product's document begins in the source.
          length: bytes of the document.
        """
        self._bytes += length
        self._counts.documents['read'] += 1
        self._counts.pictures['read'] += len(product.pictures)
        label, reason = self._label(product)
        if reason:
            self._reject_document(product, reason, offset=offset, length=length)
            return
        if data is not self._data or base != self._base:
            self._look()
            self._data, self._base = data, base
        self._waiting.append((product, label, offset))

    def _look(self) -> None:
        """Looks at the pictures that wait."""
        view = memoryview(self._data)
        places = [place for product, _, _ in self._waiting for place in product.pictures]
        traits = iter(pictures.traits_of(self._data, places, decode=self._decode))
        used = []
        for product, label, offset in self._waiting:
            rows = len(self._rows)
            for index, (at, size) in enumerate(product.pictures):
                found = next(traits)
                if isinstance(found, BadPicture):
                    self._reject_picture(product, found, index)
                    continue
                used.append(view[at : at + size])
                self._rows.append(
                    (product.product_id, self._base + at, offset, size, label, index, found)
                )
            if len(self._rows) == rows:
                # Its pictures are rejected one by one, with their own reasons.
                self._counts.documents['rejected_no_usable_picture'] += 1
        self._hashes.append(pictures.hashes128(used))
        self._waiting.clear()

    def reject_piece(
        self, *, reason: str, message: str, offset: int, length: int, product_id: int | None
    ) -> None:
        """Takes a piece of the source that is no product; it counts as one document."""
        self._bytes += length
        self._counts.documents['read'] += 1
        self._counts.documents[f'rejected_{reason}'] += 1
        self._rejected.append(
            Rejected(reason, self._file, offset, length, product_id, None, message)
        )

    def result(self, scanned: Range, *, first: int | None, end: int | None) -> Scan:
        """All that was collected."""
        self._look()
        return Scan(
            range=scanned,
            first=first,
            end=end,
            table=_table(self._rows, np.concatenate(self._hashes), file=self._file),
            rejected=tuple(self._rejected),
            counts=self._counts,
            bytes=self._bytes,
        )

    def _label(self, product: Product) -> tuple[int, str]:
        """The product's label, or -1 and the reason why it has none that can be used."""
        if self._label_of is None:
            return -1, ''
        if product.category_id is None:
            return -1, 'unlabelled'
        label = self._label_of.get(product.category_id, -1)
        return label, '' if label >= 0 else 'unknown_category'

    def _reject_picture(self, product: Product, error: BadPicture, index: int) -> None:
        at, size = product.pictures[index]
        self._counts.pictures[f'rejected_{error.reason}'] += 1
        self._rejected.append(
            Rejected(
                reason=error.reason,
                file=self._file,
                offset=self._base + at,
                length=size,
                product_id=product.product_id,
                picture=index,
                message=str(error),
            )
        )

    def _reject_document(self, product: Product, reason: str, *, offset: int, length: int) -> None:
        self._counts.documents[f'rejected_{reason}'] += 1
        self._counts.pictures[f'rejected_{reason}'] += len(product.pictures)
        message = {
            'unlabelled': 'has no category_id; --unlabelled reads data without categories',
            'unknown_category': f'category_id {product.category_id} is not in the category tree',
        }[reason]
        self._rejected.append(
            Rejected(reason, self._file, offset, length, product.product_id, None, message)
        )


def _table(rows: Sequence[tuple[int, ...]], hashes: npt.NDArray[np.uint64], *, file: int) -> Table:
    table = np.zeros(len(rows), SCANNED)
    names = ('product_id', 'offset', 'document', 'length', 'label', 'index', 'traits')
    for name, column in zip(names, zip(*rows, strict=True), strict=bool(rows)):
        table[name] = np.array(column, SCANNED[name])
    table['hash_high'], table['hash_low'] = hashes.T
    table['file'] = file
    return table
