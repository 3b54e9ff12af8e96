"""Scans one range of a source: rows, rejected pieces, counts. Knows no Beam."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from beam_pipelines import packing
from beam_pipelines.ledger import GAPS, Counts
from beam_pipelines.near_duplicates.columns import VISUAL
from beam_pipelines.near_duplicates.visual_hasher import VisualHasher
from beam_pipelines.scan import pictures
from beam_pipelines.scan.pseudo_labels import (
    BELOW,
    HELD_OUT,
    NONE,
    UNSURE,
    WITHOUT,
    LoadedLabels,
    PseudoLabels,
)
from beam_pipelines.scan.rejected_pieces import DEFAULT_LIMIT, RejectedPieces
from beam_pipelines.table import PSEUDO, SCANNED, Table, concatenate, key_bytes, with_key
from catalog import product_key
from catalog.categories import Categories
from catalog.formats.image_header import BadPicture
from catalog.schema.absent import ABOVE_CATEGORIES, NO_CATEGORY, NO_GROUP, UNKNOWN_CATEGORY
from catalog.shards import SPLITS
from catalog.sources.source import (
    Piece,
    Products,
    Range,
    Rejected,
    Source,
)

Int32s = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
SplitGroups = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]]  # [groups] -> [groups]

_TRAIN = 1 + SPLITS.index('train')  # in the column `split` of a scan


@dataclass(frozen=True)
class Scan:
    """The result of scanning a range.

    Attributes:
      range: The range that was scanned.
      first: Where the first piece begins. None if there is none.
      end: Where the last piece that begins in the range ends. None if there is none.
      table: One row per usable picture, with the columns SCANNED.
      visual: One row per picture that has a visual hash, with the columns VISUAL.
      rejected: What cannot be used, up to a limit; `counts` has all of it.
      counts: Everything that was read, and what was rejected.
      bytes: Size of all pieces.
    """

    range: Range
    first: int | None
    end: int | None
    table: Table
    visual: Table
    rejected: RejectedPieces
    counts: Counts
    bytes: int

    def __getstate__(self) -> dict[str, Any]:
        kept = self.table.dtype
        return {**self.__dict__, 'table': (packing.pack(self.table, kept), kept)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        packed, kept = state['table']
        self.__dict__.update(state, table=packing.unpack([packed], kept))


def scan_range(
    source: Source,
    part: Range,
    *,
    categories: Categories | None,
    decode: bool,
    keep_rejected: int = DEFAULT_LIMIT,
    visual: bool = False,
    split_groups: SplitGroups | None = None,
    pseudo_labels: PseudoLabels | None = None,
) -> Scan:
    """Scans a range.

    Args:
      source: Source of the range.
      part: The range.
      categories: The category tree. None for unlabelled data.
      decode: Whether to decode every picture.
      keep_rejected: Most rejected pieces to keep; all of them are counted.
      visual: Whether to hash what the pictures look like.
      split_groups: Returns the split of each group of products. None if there are no splits.
      pseudo_labels: Labels of products without a category. None rejects these products.
    """
    scanner = _Scanner(
        part,
        categories,
        decode=decode,
        keep_rejected=keep_rejected,
        visual=visual,
        key_bytes=source.key_bytes(),
        split_groups=split_groups,
        pseudo_labels=pseudo_labels,
    )
    for piece in source.read(part):
        scanner.add(piece)
        del piece  # frees its bytes before the next ones are read
    return scanner.scan()


def read_to_end(source: Source, part: Range) -> int | None:
    """Returns where the last piece that begins in a range ends, or None if there is none."""
    end = None
    for piece in source.read(part):
        _, end = bounds(piece)
        del piece  # frees its bytes before the next ones are read
    return end


def bounds(piece: Piece) -> tuple[int, int]:
    """Returns where a piece begins and ends, in a source whose lengths are in units of ranges."""
    if isinstance(piece, Rejected):
        return piece.offset, piece.offset + piece.length
    return int(piece.positions[0]), int(piece.positions[-1] + piece.lengths[-1])


class _Scanner:
    """Collects the rows, rejected pieces and counts of one range."""

    def __init__(
        self,
        part: Range,
        categories: Categories | None,
        *,
        decode: bool,
        keep_rejected: int,
        visual: bool,
        key_bytes: int,
        split_groups: SplitGroups | None,
        pseudo_labels: PseudoLabels | None,
    ) -> None:
        self._range = part
        self._key_bytes = key_bytes
        self._categories = categories
        self._labels: dict[int | str, int] = {}
        self._decode = decode
        self._hasher = VisualHasher() if visual else None
        self._split_groups = split_groups
        self._pseudo_labels = None
        if pseudo_labels is not None and categories is not None:
            self._pseudo_labels = pseudo_labels.load(categories)
        self._first: int | None = None
        self._end: int | None = None
        self._tables: list[Table] = []
        self._visual: list[Table] = []
        self._rejected = RejectedPieces(keep_rejected)
        self._counts = Counts()
        self._bytes = 0

    def add(self, piece: Piece) -> None:
        """Adds the next piece of the range."""
        begin, self._end = bounds(piece)
        if self._first is None:
            self._first = begin
        if isinstance(piece, Products):
            self._add_products(piece)
        else:
            self._bytes += piece.length
            self._counts.documents['read'] += 1
            self._counts.bytes['read'] += piece.length
            self._counts.notes.update([GAPS] * piece.gap)
            self._reject_document(piece, counted_bytes=piece.length)

    def scan(self) -> Scan:
        """Returns all that was collected."""
        return Scan(
            range=self._range,
            first=self._first,
            end=self._end,
            table=concatenate(self._tables, with_key(SCANNED, self._key_bytes)),
            visual=concatenate(self._visual, VISUAL),
            rejected=self._rejected,
            counts=self._counts,
            bytes=self._bytes,
        )

    def _add_products(self, products: Products) -> None:
        self._bytes += int(products.lengths.sum())
        self._counts.documents['read'] += len(products)
        self._counts.pictures['read'] += len(products.places)
        self._counts.bytes['read'] += int(products.places[:, 1].sum())
        labels = np.full(len(products), -1, np.int32)
        pseudo = np.zeros(len(products), bool)
        if self._categories is not None:
            label_by_id = self._categories.label_by_id
            category_ids = products.category_ids.tolist()
            if self._categories.codes:
                found = [self._find_label(category_id) for category_id in category_ids]
            else:
                found = [label_by_id.get(category_id, -1) for category_id in category_ids]
            for number, text in products.category_texts.items():
                found[number] = self._find_label(text)
            labels = np.array(found, np.int32)
            if self._pseudo_labels is not None:
                products, labels, pseudo = self._add_pseudo_labels(
                    products, labels, self._pseudo_labels
                )
            known = labels >= 0
            if not known.all():
                self._reject_products(products.select(~known))
                products, labels, pseudo = products.select(known), labels[known], pseudo[known]
        if len(products):
            self._tables.append(self._rows(products, labels, pseudo))

    def _add_pseudo_labels(
        self, products: Products, labels: Int32s, pseudo_labels: LoadedLabels
    ) -> tuple[Products, Int32s, Bools]:
        """Labels the products without a category, and drops those that get no label.

        Returns:
          The products that remain, their labels, and whether these are pseudo-labels.
        """
        pseudo = products.category_ids == NO_CATEGORY
        pseudo[list(products.category_texts)] = False
        if not pseudo.any():
            return products, labels, pseudo
        keys = None if products.keys is None else products.keys[pseudo]
        found = np.zeros(len(products), np.int32)
        found[pseudo] = pseudo_labels.find(products.product_ids[pseudo], keys)
        held_out = pseudo & (found >= 0) & (self._given_splits(products) > _TRAIN)
        for place, dropped in (
            (WITHOUT, found == NONE),
            (BELOW, found == UNSURE),
            (HELD_OUT, held_out),
        ):
            self._counts.documents[place] += int(dropped.sum())
            self._counts.pictures[place] += int(products.views[dropped].sum())
        kept = (found >= 0) & ~held_out
        labels = np.where(pseudo, found, labels)
        return products.select(kept), labels[kept], pseudo[kept]

    def _find_label(self, category: int | str) -> int:
        """Returns the label of a category id or text, or -1 if the tree does not have it."""
        if category not in self._labels and self._categories is not None:
            label = None if category == NO_CATEGORY else self._categories.find(category)
            self._labels[category] = -1 if label is None else label
        return self._labels[category]

    def _rows(self, products: Products, labels: Int32s, pseudo: Bools) -> Table:
        """Returns one row per usable picture, and rejects the others."""
        views = products.views
        rows = np.zeros(len(products.places), with_key(SCANNED, self._key_bytes))
        if self._key_bytes and products.keys is not None:
            rows['key'] = np.repeat(products.keys, views)
        rows['file'] = self._range.file
        rows['product_id'] = np.repeat(products.product_ids, views)
        rows['label'] = np.repeat(labels, views)
        rows['document'] = np.repeat(products.positions, views)
        if products.splits is not None or products.groups is not None:
            rows['split'] = np.repeat(self._given_splits(products), views)
        pseudo_rows = np.repeat(pseudo, views)
        rows['split'][pseudo_rows] = _TRAIN
        rows['offset'] = products.offsets
        rows['length'] = products.places[:, 1]
        rows['index'] = np.arange(len(rows)) - np.repeat(np.cumsum(views) - views, views)
        rows['traits'], errors = pictures.inspect_pictures(
            products.data, products.places, decode=self._decode
        )
        rows['traits'][pseudo_rows] |= PSEUDO
        data = memoryview(products.data)
        hashes = pictures.hashes128(
            data[offset : offset + length] for offset, length in products.places.tolist()
        )
        rows['hash_high'], rows['hash_low'] = hashes.T
        errors |= products.unreadable
        if self._hasher:
            used = np.ones(len(rows), bool)
            used[list(errors)] = False
            usable = np.flatnonzero(used)
            self._visual.append(
                self._hasher.hash_rows(products.data, products.places[usable], rows.take(usable))
            )
        return self._reject_pictures(rows, errors) if errors else rows

    def _given_splits(self, products: Products) -> npt.NDArray[np.uint8]:
        """Returns 1 + the split of each product that the source determines, uint8 [products].

        The others are 0, and so are all in unlabelled data.
        """
        given = np.zeros(len(products), np.uint8)
        if self._categories is None:
            return given
        if products.splits is not None:
            for number, name in enumerate(SPLITS):
                given[products.splits == name] = 1 + number
        elif products.groups is not None and self._split_groups is not None:
            grouped = products.groups != NO_GROUP
            given[grouped] = 1 + self._split_groups(products.groups[grouped])
        return given

    def _reject_pictures(self, rows: Table, errors: Mapping[int, BadPicture]) -> Table:
        """Rejects the pictures with errors and returns the other rows."""
        for number, error in errors.items():
            self._counts.pictures[f'rejected_{error.reason}'] += 1
            self._counts.bytes[f'rejected_{error.reason}'] += int(rows[number]['length'])
            self._rejected.add(
                rejected_picture(rows[number], reason=error.reason, message=str(error))
            )
        used = np.ones(len(rows), bool)
        used[list(errors)] = False
        # The pictures of products that lose all of them have their own reasons.
        kept = rows[used]
        lost = len(np.unique(rows['document'])) - len(np.unique(kept['document']))
        self._counts.documents['rejected_no_usable_picture'] += lost
        return kept

    def _reject_products(self, products: Products) -> None:
        ends = np.append(0, np.cumsum(products.places[:, 1]))[np.cumsum(products.views)]
        columns = (products.product_ids, products.category_ids, products.positions)
        others = (products.lengths, products.views, np.diff(ends, prepend=0))
        keys = [''] * len(products)
        if products.keys is not None:
            keys = [product_key.decode(key) for key in products.keys.tolist()]
        for number, (product_id, category_id, position, length, views, picture_bytes) in enumerate(
            zip(*(column.tolist() for column in (*columns, *others)), strict=True)
        ):
            text = products.category_texts.get(number)
            reason, message = _refusal(category_id, text, self._categories)
            self._counts.pictures[f'rejected_{reason}'] += views
            self._reject_document(
                Rejected(
                    reason,
                    self._range.file,
                    position,
                    length,
                    product_id,
                    None,
                    message,
                    key=keys[number],
                ),
                counted_bytes=picture_bytes,
            )

    def _reject_document(self, piece: Rejected, *, counted_bytes: int) -> None:
        self._counts.documents[f'rejected_{piece.reason}'] += 1
        self._counts.bytes[f'rejected_{piece.reason}'] += counted_bytes
        self._rejected.add(piece)


def _refusal(category_id: int, text: str | None, tree: Categories | None) -> tuple[str, str]:
    """Returns the reason and the message for a product whose category the tree does not have."""
    if text is None and category_id == NO_CATEGORY:
        return 'unlabelled', 'has no category_id; use --unlabelled for data without categories'
    if text is None and category_id == ABOVE_CATEGORIES:
        return 'above_categories', 'is beside the folders of categories; move it into one of them'
    if text is not None and tree is not None:
        near = f'; the nearest is {tree.nearest_path(text)!r}'
        return 'unknown_category', f'category_id {text!r} is not in the category tree{near}'
    named = 'its category' if category_id == UNKNOWN_CATEGORY else f'category_id {category_id}'
    return 'unknown_category', f'{named} is not in the category tree'


def rejected_picture(row: np.void, *, reason: str, message: str) -> Rejected:
    """Returns the picture of a row as a rejected piece."""
    return Rejected(
        reason=reason,
        file=int(row['file']),
        offset=int(row['offset']),
        length=int(row['length']),
        product_id=int(row['product_id']),
        picture=int(row['index']),
        message=message,
        key=product_key.decode(row['key']) if key_bytes(row.dtype) else '',
    )
