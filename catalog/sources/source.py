"""The protocol that every source implements, and the values that it passes. Knows no Beam."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from catalog.formats.image_header import BadPicture
from catalog.schema.absent import NO_CATEGORY, NO_GROUP
from catalog.schema.product_document import Product

Int64s = npt.NDArray[np.int64]

# Rows that describe pictures, one each. `fetch` needs their columns `file`, `offset`, `length` and
# `product_id`; other columns are ignored.
Pictures = npt.NDArray[np.void]


@dataclass(frozen=True)
class Range:
    """A part [start, stop) of one file of a source, in the source's own units.

    Attributes:
      file: Number of the file.
      start: Where the range begins.
      stop: Where the range ends.
      first: Where the first product of the range begins. None if the source must find it.
    """

    file: int
    start: int
    stop: int
    first: int | None = None


@dataclass(frozen=True)
class Rejected:
    """A piece of a source that cannot be used.

    Attributes:
      reason: One word, a key of the ledger.
      file: Number of the file.
      offset: Where the piece begins, in the source's own units.
      length: Size in bytes.
      product_id: None if unknown.
      picture: Index of a rejected picture in its document. None if all of the piece is rejected.
      message: What is wrong.
      gap: Whether an unknown number of bytes is missing from the source here.
      key: The product's id as in the source if it is not an integer, else ''.
    """

    reason: str
    file: int
    offset: int
    length: int
    product_id: int | None
    picture: int | None
    message: str
    gap: bool = False
    key: str = ''


@dataclass(frozen=True)
class Products:
    """N products with P pictures, in source order.

    Attributes:
      data: Bytes that contain the pictures.
      product_ids: int64 [N].
      category_ids: int64 [N], NO_CATEGORY where a product has no category.
      positions: Where the source finds each product, int64 [N].
      lengths: Size of each product in bytes, int64 [N].
      views: Number of pictures of each product, int64 [N].
      places: Offset in `data` and length of each picture, product by product, int64 [P, 2].
      offsets: Where the source finds each picture, int64 [P].
      unreadable: Errors of the pictures that could not be read, by index in `places`.
      category_texts: The categories that are texts, by index of the product.
      keys: Ids as in the source, UTF-8, b'' for an integer, bytes [N]. None if all are integers.
      splits: Names of the splits that the shop has put the products in [N]. None if it has none.
      groups: The groups of products that must be in one split, int64 [N], NO_GROUP for none. None
        if there are no groups.
    """

    data: bytes
    product_ids: Int64s
    category_ids: Int64s
    positions: Int64s
    lengths: Int64s
    views: Int64s
    places: Int64s
    offsets: Int64s
    unreadable: Mapping[int, BadPicture] = field(default_factory=dict)
    category_texts: Mapping[int, str] = field(default_factory=dict)
    keys: npt.NDArray[np.bytes_] | None = None
    splits: npt.NDArray[np.str_] | None = None
    groups: Int64s | None = None

    def __len__(self) -> int:
        return len(self.product_ids)

    def select(self, kept: npt.NDArray[np.bool_]) -> 'Products':
        """Returns the products where `kept`, bool [N], is True."""
        kept_pictures = np.repeat(kept, self.views)
        renumbered = np.cumsum(kept_pictures) - 1
        renumbered_products = np.cumsum(kept) - 1
        return dataclasses.replace(
            self,
            product_ids=self.product_ids[kept],
            category_ids=self.category_ids[kept],
            positions=self.positions[kept],
            lengths=self.lengths[kept],
            views=self.views[kept],
            places=self.places[kept_pictures],
            offsets=self.offsets[kept_pictures],
            unreadable={
                int(renumbered[picture]): error
                for picture, error in self.unreadable.items()
                if kept_pictures[picture]
            },
            category_texts={
                int(renumbered_products[product]): text
                for product, text in self.category_texts.items()
                if kept[product]
            },
            keys=None if self.keys is None else self.keys[kept],
            splits=None if self.splits is None else self.splits[kept],
            groups=None if self.groups is None else self.groups[kept],
        )


class Batch:
    """Collects products that are parsed one by one from the same bytes.

    Args:
      data: Bytes that contain their pictures.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._products: list[tuple[int, int, int, int, int]] = []
        self._places: list[tuple[int, int]] = []
        self._offsets: list[int] = []
        self._unreadable: dict[int, BadPicture] = {}
        self._category_texts: dict[int, str] = {}
        self._keys: list[bytes] = []
        self._splits: list[str] = []
        self._groups: list[int | None] = []

    def __len__(self) -> int:
        return len(self._products)

    def add(self, product: Product, *, position: int, length: int, shift: int) -> None:
        """Adds a product.

        Args:
          product: Its picture offsets are offsets in `data`.
          position: Where the source finds the product.
          length: Size of the product in bytes.
          shift: Added to an offset in `data`, gives where the source finds the picture.
        """
        category_id = NO_CATEGORY if product.category_id is None else product.category_id
        views = len(product.pictures)
        if product.category:
            self._category_texts[len(self._products)] = product.category
        for index, error in product.unreadable:
            self._unreadable[len(self._places) + index] = error
        self._keys.append(product.key.encode())
        self._splits.append(product.split)
        self._groups.append(product.group)
        self._products.append((product.product_id, category_id, position, length, views))
        self._places += product.pictures
        self._offsets += [offset + shift for offset, _ in product.pictures]

    def products(self) -> Products:
        """Returns the products that were added, at least one."""
        product_ids, category_ids, positions, lengths, views = np.array(self._products, np.int64).T
        return Products(
            data=self.data,
            product_ids=product_ids,
            category_ids=category_ids,
            positions=positions,
            lengths=lengths,
            views=views,
            places=np.array(self._places, np.int64).reshape(-1, 2),
            offsets=np.array(self._offsets, np.int64),
            unreadable=self._unreadable,
            category_texts=self._category_texts,
            keys=np.array(self._keys) if any(self._keys) else None,
            splits=np.array(self._splits) if any(self._splits) else None,
            groups=self._group_numbers(),
        )

    def _group_numbers(self) -> Int64s | None:
        if all(group is None for group in self._groups):
            return None
        return np.array([NO_GROUP if group is None else group for group in self._groups], np.int64)


Piece = Products | Rejected


@runtime_checkable  # Beam checks arguments against annotations
class Source(Protocol):
    """A dump of products. Small and picklable, so that it can be sent to every worker."""

    def guesses_starts(self) -> bool:
        """Returns whether `read` guesses where the first product of a range begins.

        If so, ranges, positions and lengths share one unit, bytes: the piece after a product begins
        at its position plus its length. `Range.first` replaces the guess.
        """

    def joint_read_bytes(self) -> int:
        """Returns the largest gap in bytes between two pictures that `fetch` reads in one request.

        0 if a joint read saves no request.
        """

    def key_bytes(self) -> int:
        """Returns the most bytes of an id that is not an integer; 0 if no product is traced."""

    def listed_names(self) -> bytes:
        """Returns the names of what the source lists; they differ if other files are listed."""

    def total_bytes(self) -> int:
        """Returns the size of the source."""

    def split(self, *, range_bytes: int) -> list[Range]:
        """Returns the ranges of the source in order, about `range_bytes` each."""

    def first_documents(self) -> Iterator[tuple[str, bytes]]:
        """Yields some of the first documents, of any schema: name of the file, BSON.

        Yields nothing if the source has no documents.
        """

    def read(self, part: Range) -> Iterator[Piece]:
        """Yields the products that begin in a range, and the pieces that are no products."""

    def fetch(self, pictures: Pictures) -> Iterable[bytes]:
        """Returns the bytes of pictures, in the order of the rows.

        Raises:
          UserError: If a picture no longer exists.
        """

    def fetch_rejected(self, rejected: Rejected) -> bytes:
        """Returns the bytes of a rejected piece."""

    def file_name(self, file: int) -> str:
        """Returns the name of a file of the source, for messages."""

    def describe_place(self, rejected: Rejected) -> str:
        """Returns where a rejected piece is, for messages."""

    def shown_offset(self, file: int, offset: int) -> int:
        """Returns an offset as users find it: the row of a photo in its list, else as it is."""

    def notes(self) -> Sequence[str]:
        """Returns lines about what the source passes over."""
