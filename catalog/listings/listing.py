"""What a folder or list of photos contains: the products, their photos, ids and categories."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from catalog import product_key, storage
from catalog.errors import UserError
from catalog.photos.confined import Rules, is_absolute
from catalog.schema.absent import NO_CATEGORY

Int64s = npt.NDArray[np.int64]

LIST_SUFFIXES = ('.csv', '.parquet', '.tsv', '.txt')


class NoKnownCategory(UserError):
    """No folder of an input, or no row of a list, names a category of the tree."""


@dataclass(frozen=True)
class Listing:
    """A folder of products, the loose photos of a folder, or a list file.

    Attributes:
      path: Path of the folder or list.
      root: Folder that the paths of products are relative to.
      rules: Which photos may be read.
      category_id: Category of all products. NO_CATEGORY for a list, or if there is none.
      loose: Whether to use only the pictures directly in the folder.
      inner: Names of folders in the folder that have listings of their own.
      numbered: Whether a file or folder whose name is a number has this number as its id.
      prefix: Put before the path of a product in a folder.
      columns: The list's own names of columns by our names, as pairs.
      category_ids: Category ids of the categories that a list has as text, as pairs.
    """

    path: str
    root: str
    rules: Rules
    category_id: int = NO_CATEGORY
    loose: bool = False
    inner: frozenset[str] = frozenset()
    numbered: bool = True
    prefix: str = ''
    columns: tuple[tuple[str, str], ...] = ()
    # Not compared: it follows from the rest, and hashing it takes longer than to find a listing.
    category_ids: tuple[tuple[str, int], ...] = field(default=(), compare=False)

    def is_list(self) -> bool:
        """Returns whether the path is a list file."""
        return self.path.lower().endswith(LIST_SUFFIXES) and not self.loose

    def photo_root(self) -> str:
        """Returns the folder that photos must be in: the root, or the list's folder."""
        return os.path.dirname(self.path) or '.' if self.is_list() else self.root


@dataclass(frozen=True)
class Texts:
    """Byte strings, one after another, and where each one ends, int64 [texts]."""

    data: bytes
    ends: Int64s

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> bytes:
        begin = int(self.ends[number - 1]) if number else 0
        return self.data[begin : int(self.ends[number])]

    def longest(self) -> int:
        """Returns the size of the longest one; 0 if there are none."""
        return int(np.diff(self.ends, prepend=0).max(initial=0))


def pack_texts(texts: Sequence[bytes]) -> Texts:
    """Returns byte strings as one."""
    return Texts(b''.join(texts), np.cumsum([len(text) for text in texts], dtype=np.int64))


@dataclass(frozen=True)
class Photos:
    """The photos of a listing, grouped by product, in order of their paths.

    About 100 bytes a photo, because the names are one byte string.

    Attributes:
      folder: Folder that the names are relative to.
      names: Names of all photos, UTF-8 [photos].
      first: Index of each product's first photo, then the number of photos, int64 [products + 1].
      product_ids: int64 [products].
      keys: The key of each product, b'' where the id is an integer [products].
      category_ids: int64 [products], NO_CATEGORY where a product has no category.
      are_from_paths: Whether the ids follow from the paths of photos, bool [products].
      notes: Number of `files` and `rows` that are passed over.
      lines: Lines about what is not used.
      rows: Row of each photo in the list, int64 [photos]. None for a folder.
      refused: Reason and message for each product that is refused, by its number.
      category_texts: The categories that the tree does not have, by number of the product.
      splits: The split that the list names for each product, '' for none, and several if its rows
        differ [products]. None if the list names no splits.
      groups: The group of each product, NO_GROUP for none, int64 [products]. None if the list
        names no groups.
    """

    folder: str
    names: Texts
    first: Int64s
    product_ids: Int64s
    keys: Texts
    category_ids: Int64s
    are_from_paths: npt.NDArray[np.bool_]
    notes: Mapping[str, int]
    splits: tuple[str, ...] | None = None
    groups: Int64s | None = None
    lines: tuple[str, ...] = ()
    rows: Int64s | None = None
    refused: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    category_texts: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def path(self, photo: int) -> str:
        """Returns the path of a photo."""
        name = os.fsdecode(self.names[photo])
        return name if is_absolute(name) else storage.join(self.folder, name)

    def shown_id(self, product: int) -> int | str:
        """Returns the key of a product, or its id if it has none."""
        key = self.keys[product]
        return product_key.decode(key) if key else int(self.product_ids[product])
