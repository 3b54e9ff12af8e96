"""Which photos there are, of which product and category: from folders, or from a list.

Opens no photo. The rules, for people, are in `beam_pipelines.sources.photo_files`.
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

from beam_pipelines.sources import folders
from beam_pipelines.table import starts
from catalog import storage
from catalog.categories import Categories
from catalog.errors import UserError

Int64s = npt.NDArray[np.int64]

LIST_SUFFIXES = ('.csv', '.parquet')
NO_CATEGORY = -(2**63)  # in place of a category_id

_COLUMNS = ('path', 'category', 'product')
_PICTURE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.gif', '.webp', '.bmp')
_MAX_ID_DIGITS = 18  # fits an int64


@dataclass(frozen=True)
class Listing:
    """Where photos are named: a folder of products, the loose files of a folder, or a list.

    Attributes:
      path: of the folder or the list.
      root: paths that give a product its id count from here.
      category_id: of all products; NO_CATEGORY where the list says, or nothing does.
      loose: only the pictures directly in the folder.
    """

    path: str
    root: str
    category_id: int = NO_CATEGORY
    loose: bool = False


@dataclass(frozen=True)
class Photos:
    """The photos of a listing, those of a product together, in order of their paths.

    About 100 bytes a photo, whatever Python needs for the strings left out.

    Attributes:
      folder: that the names count from.
      names: of all photos, in UTF-8, one after another.
      ends: where each name ends, int64 [photos].
      first: the first photo of each product, and the number of photos, int64 [products + 1].
      product_ids: int64 [products].
      category_ids: int64 [products]; NO_CATEGORY where there is none.
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
        """The path of a photo."""
        begin = int(self.ends[photo - 1]) if photo else 0
        name = os.fsdecode(self.names[begin : int(self.ends[photo])])
        return name if _is_absolute(name) else storage.join(self.folder, name)


def categories_of(folder: str, tree: Categories) -> list[Listing]:
    """A listing for each folder in a folder, and one for its own photos, which have no category.

    Raises:
      UserError: if there are folders, and none names a category.
    """
    by_name = _ids_by_name(tree)
    listings = [Listing(folder, root=folder, loose=True)]
    names = folders.folders_in(folder)
    for name in names:
        category_id = number(name)
        if category_id is None:
            category_id = by_name.get(name.strip(), NO_CATEGORY)
        listings.append(Listing(storage.join(folder, name), root=folder, category_id=category_id))
    if names and all(listing.category_id == NO_CATEGORY for listing in listings):
        raise UserError(
            f'{folder}: the folders in it must be named by a category_id or as LEVEL 1 > LEVEL 2 > '
            f'LEVEL 3, got {names[0]!r}'
        )
    return listings


def _ids_by_name(tree: Categories) -> dict[str, int]:
    """The category_id by the name of a folder; names that two leaves would have are left out."""
    joined = [' > '.join(n.strip().replace('/', '_') for n in names) for names in tree.names]
    times = Counter(joined)
    pairs = zip(joined, tree.ids.tolist(), strict=True)
    return {name: category_id for name, category_id in pairs if times[name] == 1}


@functools.cache  # for the life of a worker: every shard has photos of most categories
def load(listing: Listing) -> Photos:
    """The photos of a listing.

    Raises:
      UserError: if a list is not one.
    """
    if listing.path.endswith(LIST_SUFFIXES) and not listing.loose:
        return _of_list(listing)
    return _of_folder(listing)


def id_of(name: str, *, path: str) -> int:
    """The id of a product: its name if that is a number, else a hash of its path.

    Args:
      name: of its file or folder, with or without a suffix.
      path: that is hashed, by XXH3-64, to 63 bits.
    """
    named = number(name.partition('.')[0])
    return xxhash.xxh3_64_intdigest(os.fsencode(path)) >> 1 if named is None else named


def number(name: str) -> int | None:
    """The number that a name is, if it is one."""
    if name.isascii() and name.isdecimal() and len(name) <= _MAX_ID_DIGITS:
        return int(name)
    return None


def _is_absolute(name: str) -> bool:
    return name.startswith('/') or storage.is_remote(name)


def _of_folder(listing: Listing) -> Photos:
    if listing.loose:
        names = [n for n in folders.files_in(listing.path) if n.lower().endswith(_PICTURE_SUFFIXES)]
    else:
        names = folders.files_below(listing.path)
    within = listing.path.removeprefix(listing.root).strip('/')
    ids: dict[str, int] = {}
    products = []
    for name in names:
        product = name.partition('/')[0]
        if product not in ids:
            ids[product] = id_of(product, path=f'{within}/{product}'.lstrip('/'))
        products.append(product)
    # Sorted paths keep what one folder holds together.
    first = [n for n, product in enumerate(products) if not n or product != products[n - 1]]
    return _photos(
        listing.path,
        names,
        first=first,
        product_ids=np.array([ids[products[n]] for n in first], np.int64),
        category_ids=np.full(len(first), listing.category_id, np.int64),
    )


def _of_list(listing: Listing) -> Photos:
    columns = _read_list(listing.path)
    names, category_ids, given = columns['path'], columns['category'], columns['product']
    product_ids = np.array(
        [
            id_of(os.path.basename(name), path=name) if product is None else product
            for name, product in zip(names, given, strict=True)
        ],
        np.int64,
    )
    by_path = np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
    order = by_path[np.lexsort([category_ids[by_path], product_ids[by_path]])]
    product_ids, category_ids = product_ids[order], category_ids[order]
    first = starts(product_ids, category_ids)
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


def _read_list(path: str) -> dict[str, Any]:
    """The columns of a list: `path` [str], `category` int64 [rows], `product` [int or None]."""
    import pyarrow as pa

    try:
        table = _read_parquet(path) if path.endswith('.parquet') else _read_csv(path)
        if 'path' not in table.column_names:
            raise UserError(
                f'{path}: must have the columns path, category and perhaps product, got '
                f'{", ".join(table.column_names)}'
            )
        names = table['path'].cast(pa.large_string()).to_pylist()
        numbers = {
            name: table[name].cast(pa.int64())
            if name in table.column_names
            else pa.nulls(len(names), pa.int64())
            for name in _COLUMNS[1:]
        }
    except pa.ArrowException as error:
        raise UserError(f'{path}: must be a list of photos, got: {error}') from error
    if None in names:
        raise UserError(f'{path}: every row must have a path, row {names.index(None) + 1} has none')
    return {
        'path': names,
        'category': numbers['category'].fill_null(NO_CATEGORY).to_numpy(),
        'product': numbers['product'].to_pylist(),
    }


def _read_csv(path: str) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    types = {'path': pa.large_string(), 'category': pa.int64(), 'product': pa.int64()}
    return csv.read_csv(
        pa.BufferReader(storage.read_bytes(path)),
        read_options=csv.ReadOptions(use_threads=False),  # or errors name no row
        convert_options=csv.ConvertOptions(column_types=types),
    )


def _read_parquet(path: str) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    file = parquet.ParquetFile(pa.BufferReader(storage.read_bytes(path)))
    return file.read(columns=[name for name in _COLUMNS if name in file.schema_arrow.names])
