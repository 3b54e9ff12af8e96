"""What one range of a source gives: rows, rejected pieces, counts. Knows no source, no Beam."""

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from beam_pipelines import packing
from beam_pipelines.scan import pictures
from beam_pipelines.table import SCANNED, Table, end_to_end
from catalog.formats.bson_batch import Documents
from catalog.formats.bson_document import Product
from catalog.formats.image_header import BadPicture

Int64s = npt.NDArray[np.int64]


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

    def __getstate__(self) -> dict[str, Any]:
        kept = self.table.dtype
        return {**self.__dict__, 'table': (packing.pack(self.table, kept), kept)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        packed, kept = state['table']
        self.__dict__.update(state, table=packing.unpack([packed], kept))


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
        self._tables: list[Table] = []
        self._rejected: list[Rejected] = []
        self._counts = Counts()
        self._bytes = 0
        # Products of one piece of data are looked at together.
        self._data = b''
        self._waiting: list[tuple[int, int, int, int, int]] = []  # id, label, offset, base, views
        self._places: list[tuple[int, int]] = []  # of their pictures in the data

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
        if data is not self._data:
            self._look()
            self._data = data
        self._waiting.append((product.product_id, label, offset, base, len(product.pictures)))
        self._places += product.pictures

    def add_all(self, documents: Documents, data: bytes, *, base: int) -> None:
        """Takes products whose documents lie one after another; `data` and `base` as in `add`."""
        self._look()
        found = documents.category_ids.tolist()
        labels = [-1] * len(found)
        if self._label_of is not None:
            labels = [self._label_of.get(category_id, -1) for category_id in found]
        if self._label_of is not None and -1 in labels:
            self._add_each(documents, data, base=base)
            return
        starts, views = documents.starts, documents.views
        self._bytes += documents.end - int(starts[0])
        self._counts.documents['read'] += len(starts)
        self._counts.pictures['read'] += len(documents.places)
        bases = np.full(len(starts), base)
        of_product = [documents.product_ids, np.array(labels), starts + base, bases, views]
        self._take(data, np.stack(of_product, axis=1), documents.places)

    def _add_each(self, documents: Documents, data: bytes, *, base: int) -> None:
        ends = [*documents.starts[1:].tolist(), documents.end]
        places = iter(map(tuple, documents.places.tolist()))
        for start, end, product_id, category_id, views in zip(
            documents.starts.tolist(),
            ends,
            documents.product_ids.tolist(),
            documents.category_ids.tolist(),
            documents.views.tolist(),
            strict=True,
        ):
            product = Product(product_id, category_id, tuple(itertools.islice(places, views)))
            self.add(product, data, base=base, offset=base + start, length=end - start)

    def _look(self) -> None:
        """Looks at the pictures that wait."""
        if self._waiting:
            places = np.array(self._places, np.int64)
            self._take(self._data, np.array(self._waiting, np.int64), places)
            self._waiting.clear()
            self._places.clear()

    def _take(self, data: bytes, of_product: Int64s, places: Int64s) -> None:
        """Takes products, [products, 5] as they wait, with their pictures, [pictures, 2]."""
        views = of_product[:, 4]
        of_picture = np.repeat(of_product, views, axis=0)
        rows = np.zeros(len(places), SCANNED)
        rows['file'] = self._file
        for column, name in enumerate(('product_id', 'label', 'document')):
            rows[name] = of_picture[:, column]
        rows['offset'], rows['length'] = places[:, 0] + of_picture[:, 3], places[:, 1]
        rows['index'] = np.arange(len(rows)) - np.repeat(np.cumsum(views) - views, views)
        rows['traits'], errors = pictures.traits_of(data, places, decode=self._decode)
        view = memoryview(data)
        hashes = pictures.hashes128(view[at : at + size] for at, size in places.tolist())
        rows['hash_high'], rows['hash_low'] = hashes.T
        self._tables.append(self._without(rows, errors) if errors else rows)

    def _without(self, rows: Table, errors: Mapping[int, BadPicture]) -> Table:
        """The rows but for those of the pictures `errors`, which are rejected."""
        for number, error in errors.items():
            self._reject_picture(rows[number], error)
        used = np.ones(len(rows), bool)
        used[list(errors)] = False
        # Products of which nothing is left: their pictures have their own reasons.
        kept = rows[used]
        lost = len(np.unique(rows['document'])) - len(np.unique(kept['document']))
        self._counts.documents['rejected_no_usable_picture'] += lost
        return kept

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
            table=end_to_end(self._tables, SCANNED),
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

    def _reject_picture(self, row: np.void, error: BadPicture) -> None:
        self._counts.pictures[f'rejected_{error.reason}'] += 1
        self._rejected.append(rejected_picture(row, reason=error.reason, message=str(error)))

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


def rejected_picture(row: np.void, *, reason: str, message: str) -> Rejected:
    """The picture of a row, to be kept aside or listed."""
    return Rejected(
        reason=reason,
        file=int(row['file']),
        offset=int(row['offset']),
        length=int(row['length']),
        product_id=int(row['product_id']),
        picture=int(row['index']),
        message=message,
    )
