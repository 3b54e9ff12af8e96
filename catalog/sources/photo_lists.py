"""Lists photos with their products and categories, from folders or from a list file.

Opens no photo. The rules are documented in `catalog.sources.photo_files`.
"""

import functools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from catalog import storage
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.photos import folder_contents, list_file
from catalog.photos.confined import Rules, is_absolute, is_inside
from catalog.sources import runs
from catalog.sources.source import NO_CATEGORY

Int64s = npt.NDArray[np.int64]

LIST_SUFFIXES = ('.csv', '.parquet')

_PICTURE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.gif', '.webp', '.bmp')
_MAX_ID_DIGITS = 18  # fits an int64


@dataclass(frozen=True)
class Listing:
    """A folder of products, the loose photos of a folder, or a list file.

    Attributes:
      path: Path of the folder or list.
      root: Folder that the paths hashed into product ids are relative to.
      category_id: Category of all products. NO_CATEGORY for a list, or if there is none.
      loose: Whether to use only the pictures directly in the folder.
      rules: Which photos may be read.
    """

    path: str
    root: str
    rules: Rules
    category_id: int = NO_CATEGORY
    loose: bool = False

    def is_list(self) -> bool:
        """Returns whether the path is a list file."""
        return self.path.endswith(LIST_SUFFIXES) and not self.loose

    def photo_root(self) -> str:
        """Returns the folder that photos must be in: the root, or the list's folder."""
        return os.path.dirname(self.path) or '.' if self.is_list() else self.root


@dataclass(frozen=True)
class Photos:
    """The photos of a listing, grouped by product, in order of their paths.

    About 100 bytes a photo, because the names are one byte string.

    Attributes:
      folder: Folder that the names are relative to.
      names: Names of all photos, UTF-8, one after another.
      ends: Where each name ends, int64 [photos].
      first: Index of each product's first photo, then the number of photos, int64 [products + 1].
      product_ids: int64 [products].
      category_ids: int64 [products], NO_CATEGORY where a product has no category.
    """

    folder: str
    names: bytes
    ends: Int64s
    first: Int64s
    product_ids: Int64s
    category_ids: Int64s

    def __len__(self) -> int:
        return len(self.ends)

    def path(self, photo: int) -> str:
        """Returns the path of a photo."""
        begin = int(self.ends[photo - 1]) if photo else 0
        name = os.fsdecode(self.names[begin : int(self.ends[photo])])
        return name if is_absolute(name) else storage.join(self.folder, name)


def list_category_folders(folder: str, tree: Categories, rules: Rules) -> list[Listing]:
    """Returns a listing per subfolder, and one of the loose photos, which have no category.

    Raises:
      UserError: If no subfolder names a category, or one is a link to outside.
    """
    by_name = _ids_by_name(tree)
    listings = [Listing(folder, root=folder, rules=rules, loose=True)]
    names = folder_contents.folders_in(folder)
    for name in names:
        category_id = parse_number(name)
        if category_id is None:
            category_id = by_name.get(name.strip(), NO_CATEGORY)
        path = storage.join(folder, name)
        if not (storage.is_remote(path) or rules.allow_outside or is_inside(path, folder)):
            raise UserError(
                f'{path}: must be a folder below {folder}, got a link to another; '
                '--allow_outside permits this'
            )
        listings.append(Listing(path, root=folder, rules=rules, category_id=category_id))
    if names and all(listing.category_id == NO_CATEGORY for listing in listings):
        raise UserError(
            f'{folder}: its folders must be named by a category_id or as LEVEL 1 > LEVEL 2 > '
            f'LEVEL 3, got {names[0]!r}'
        )
    return listings


def _ids_by_name(tree: Categories) -> dict[str, int]:
    """Returns category ids by folder name, without names that two leaves share."""
    joined = [' > '.join(n.strip().replace('/', '_') for n in names) for names in tree.names]
    times = Counter(joined)
    pairs = zip(joined, tree.ids.tolist(), strict=True)
    return {name: category_id for name, category_id in pairs if times[name] == 1}


@functools.cache  # for the life of a worker: every shard has photos of most categories
def load_photos(listing: Listing) -> Photos:
    """Returns the photos of a listing.

    Raises:
      UserError: If a list file is invalid.
    """
    if listing.is_list():
        return _list_file_photos(listing)
    return _folder_photos(listing)


def derive_product_id(name: str, *, path: str) -> int:
    """Returns a product's id: its name if that is a number, else a hash of its path.

    Args:
      name: Name of its file or folder, with or without a suffix.
      path: Hashed by XXH3-64 to 63 bits.
    """
    named = parse_number(name.partition('.')[0])
    return xxhash.xxh3_64_intdigest(os.fsencode(path)) >> 1 if named is None else named


def parse_number(name: str) -> int | None:
    """Returns a name as a number, or None if it is not one."""
    if name.isascii() and name.isdecimal() and len(name) <= _MAX_ID_DIGITS:
        return int(name)
    return None


def _folder_photos(listing: Listing) -> Photos:
    if listing.loose:
        names = [
            n
            for n in folder_contents.files_in(listing.path)
            if n.lower().endswith(_PICTURE_SUFFIXES)
        ]
    else:
        names = folder_contents.files_below(
            listing.path, root=listing.root, allow_outside=listing.rules.allow_outside
        )
    within = listing.path.removeprefix(listing.root).strip('/')
    ids: dict[str, int] = {}
    products = []
    for name in names:
        product = name.partition('/')[0]
        if product not in ids:
            ids[product] = derive_product_id(product, path=f'{within}/{product}'.lstrip('/'))
        products.append(product)
    # The paths are sorted, so the photos of one folder are neighbours.
    first = [n for n, product in enumerate(products) if not n or product != products[n - 1]]
    return _photos(
        listing.path,
        names,
        first=first,
        product_ids=np.array([ids[products[n]] for n in first], np.int64),
        category_ids=np.full(len(first), listing.category_id, np.int64),
    )


def _list_file_photos(listing: Listing) -> Photos:
    columns = _read_list(listing)
    names, category_ids, given = columns['path'], columns['category'], columns['product']
    product_ids = np.array(
        [
            derive_product_id(os.path.basename(name), path=name) if product is None else product
            for name, product in zip(names, given, strict=True)
        ],
        np.int64,
    )
    by_path = np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
    order = by_path[np.lexsort([category_ids[by_path], product_ids[by_path]])]
    product_ids, category_ids = product_ids[order], category_ids[order]
    first = runs.starts(product_ids, category_ids)
    return _photos(
        os.path.dirname(listing.path) or '.',
        [names[row] for row in order.tolist()],
        first=first.tolist(),
        product_ids=product_ids[first],
        category_ids=category_ids[first],
    )


def _photos(
    folder: str,
    names: Sequence[str],
    *,
    first: Sequence[int],
    product_ids: Int64s,
    category_ids: Int64s,
) -> Photos:
    encoded = [os.fsencode(name) for name in names]
    return Photos(
        folder=folder,
        names=b''.join(encoded),
        ends=np.cumsum([len(name) for name in encoded], dtype=np.int64),
        first=np.array([*first, len(names)], np.int64),
        product_ids=product_ids,
        category_ids=category_ids,
    )


def _read_list(listing: Listing) -> dict[str, Any]:
    """Returns the columns `path` [str], `category` int64 [rows], `product` [int or None]."""
    import pyarrow as pa

    table = list_file.read(listing.path, listing.rules)
    names = table['path'].to_pylist()
    if None in names:
        raise UserError(
            f'{listing.path}: every row must have a path, but row {names.index(None) + 1} has none'
        )
    numbers = {
        name: table[name] if name in table.column_names else pa.nulls(len(names), pa.int64())
        for name in ('category', 'product')
    }
    return {
        'path': names,
        'category': numbers['category'].fill_null(NO_CATEGORY).to_numpy(),
        'product': numbers['product'].to_pylist(),
    }
