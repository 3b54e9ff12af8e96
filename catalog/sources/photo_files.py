"""Photos in files of their own: in folders by category, or named by a list.

`DIR/CATEGORY/...`: `catalog.photos.category_folders` documents which folders name a category. Each
entry of such a folder is a product: a file is its only photo, a folder contains its photos. Without
categories, each entry of DIR is a product. A product's id is its name if that is a number
(`123.jpg`, `123/`), unless two products of DIR have the same number: then all products of DIR have
their path relative to DIR as key (`catalog.product_key`), as do products of other names. Hidden
files, clutter such as `Thumbs.db`, and files with a suffix such as `.txt` are passed over and
counted.

A list (`.csv`, `.tsv`, `.txt`, `.parquet`) has the columns `path` (relative to the list's folder),
`category` and optionally `product`, also under other names (`catalog.photos.list_columns`). Rows
with the same product and category are one product. A row without a product is one of its own, with
its path as key. Text in `category` is a path of names, as of a folder. Rows that repeat another
are passed over and counted. A worker keeps a list, or the names in the folders, in memory: about
100 bytes a photo.

A product has the same id whatever else is read: paths are relative to DIR or to the list's folder.
If products of two folders have the same one, that is an error; `folder_in_key` puts the name of DIR
before the paths.

A product's photos are its views in order of their paths. `file` is the number of the listing. Units
of a range and offsets are indices of photos in the listing; a product belongs to the range that
contains its first photo, which is its position. Each photo is a read of its own, on an object store
too. Photos outside of the folder, or of the list's folder, are rejected
(`catalog.photos.confined`).
"""

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from unicodedata import normalize

import bson
import numpy as np

from catalog import object_store, product_key, storage, terminal
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.formats.image_header import BadPicture
from catalog.listings import distinct_ids, folder_photos, list_photos
from catalog.listings.listing import LIST_SUFFIXES, Listing, Photos
from catalog.listings.loading import load_photos
from catalog.photos import confined
from catalog.photos.confined import Rules
from catalog.schema.absent import is_category_id
from catalog.shards import LABELLED_SPLITS
from catalog.sources.source import (
    Pictures,
    Piece,
    Products,
    Range,
    Rejected,
)
from catalog.terminal import counted

_MAX_VIEWS = 1000  # a folder with more is not a product
_MAX_PRODUCT = 8  # all photos of a product, in sizes of the largest photo
_SAMPLE = 64  # photos whose sizes are measured


@dataclass(frozen=True)
class PhotoFiles:
    """Listings of photos as one source.

    Attributes:
      listings: Listings in order.
      counts: Number of photos of each listing.
      mean_bytes: Mean size of a photo, estimated from a sample.
      lines: What `notes` returns.
      longest_key: Most bytes of a key; 0 if there are none.
    """

    listings: tuple[Listing, ...]
    counts: tuple[int, ...]
    mean_bytes: float
    lines: tuple[str, ...] = ()
    longest_key: int = 0

    def guesses_starts(self) -> bool:
        """Returns False: the listing shows where products begin."""
        return False

    def joint_read_bytes(self) -> int:
        """Returns 0: each photo is a read of its own."""
        return 0

    def key_bytes(self) -> int:
        """Returns the most bytes of a key, at least 1: all photos are traced to their paths."""
        return max(self.longest_key, 1)

    def listed_names(self) -> bytes:
        """Returns the names of all photos."""
        photos = (load_photos(listing) for listing in self.listings)
        return b''.join(bytes(listed.names.data) for listed in photos)

    def total_bytes(self) -> int:
        """Returns the estimated size of all photos."""
        return int(self.mean_bytes * sum(self.counts))

    def split(self, *, range_bytes: int) -> list[Range]:
        """Returns ranges with about equal numbers of photos."""
        photos = max(int(range_bytes / self.mean_bytes), 1)
        return [
            Range(file, start, min(start + photos, count))
            for file, count in enumerate(self.counts)
            for start in range(0, count, photos)
        ]

    def file_name(self, file: int) -> str:
        """Returns the path of the folder or list."""
        return self.listings[file].path

    def describe_place(self, rejected: Rejected) -> str:
        """Returns the path of a rejected photo, or of the first photo of a rejected product."""
        return self._photos(rejected.file).path(rejected.offset)

    def shown_offset(self, file: int, offset: int) -> int:
        """Returns the row of a photo in its list; in a folder, its number."""
        rows = self._photos(file).rows
        return offset if rows is None else int(rows[offset])

    def notes(self) -> Sequence[str]:
        """Returns lines about what is passed over, and about the ids."""
        return list(self.lines)

    def read(self, part: Range) -> Iterator[Piece]:
        """Yields each product whose first photo is in a range."""
        photos = self._photos(part.file)
        low, high = np.searchsorted(photos.first, [part.start, part.stop]).tolist()
        bounds = list(pairwise(photos.first[low : high + 1].tolist()))
        refused = {
            first: refusal
            for number, (first, end) in enumerate(bounds, low)
            if (refusal := self._refuse(photos, number, part.file, first=first, end=end))
        }
        wanted = (n for first, end in bounds if first not in refused for n in range(first, end))
        rules = self.listings[part.file].rules
        views = self._read_photos(part.file, wanted)
        for number, (first, end) in enumerate(bounds, low):
            if first in refused:
                yield refused[first]
            else:
                found = itertools.islice(views, end - first)
                limit = _MAX_PRODUCT * rules.max_picture_mb * 1e6
                yield _product(photos, number, list(_limited(found, int(limit))))

    def _refuse(
        self, photos: Photos, number: int, file: int, *, first: int, end: int
    ) -> Rejected | None:
        """Returns a product as a rejected piece if its photos are not read."""
        if number in photos.refused:
            reason, message = photos.refused[number]
        elif end - first > _MAX_VIEWS:
            reason = 'too_many_pictures'
            message = f'a product must have at most {_MAX_VIEWS} photos, got {end - first}'
        elif photos.splits is not None and photos.splits[number] not in LABELLED_SPLITS:
            reason, name = 'unknown_split', dict(self.listings[file].columns)['split']
            got = repr(photos.splits[number]) if photos.splits[number] else 'none'
            message = f'{name} must be one of {", ".join(LABELLED_SPLITS)}, got {got}'
        else:
            return None
        return Rejected(
            reason=reason,
            file=file,
            offset=first,
            length=0,
            product_id=int(photos.product_ids[number]),
            picture=None,
            message=message,
            key=product_key.decode(photos.keys[number]),
        )

    def first_documents(self) -> Iterator[tuple[str, bytes]]:
        """Yields nothing: photos are not documents."""
        return iter(())

    def fetch(self, pictures: Pictures) -> list[bytes]:
        """Returns the bytes of photos, in the order of the rows.

        Raises:
          UserError: If a photo no longer exists, or may no longer be read.
        """
        files = pictures['file'].tolist()
        places = list(zip(files, pictures['offset'].tolist(), strict=True))
        found = []
        for (file, photo), data in zip(places, self._read_places(places), strict=True):
            if isinstance(data, BadPicture):
                path = terminal.escape(self._photos(file).path(photo))
                changed = 'deleted' if data.reason == 'missing' else 'changed'
                raise UserError(f'{path}: was {changed} while the job was running; run again')
            found.append(data)
        return found

    def fetch_rejected(self, rejected: Rejected) -> bytes:
        """Returns the bytes of a photo, or a product as the document that BSON would contain."""
        photos = self._photos(rejected.file)
        if rejected.picture is not None:
            (data,) = self._read_places([(rejected.file, rejected.offset)])
            return _bytes(data)
        number = int(np.searchsorted(photos.first, rejected.offset))
        views: Iterable[bytes | BadPicture] = ()
        if rejected.length:
            wanted = range(*photos.first[number : number + 2].tolist())
            views = self._read_photos(rejected.file, wanted)
        images = [{'picture': _bytes(view)} for view in views]
        fields: dict[str, object] = {'_id': photos.shown_id(number), 'imgs': images}
        category_id = int(photos.category_ids[number])
        if is_category_id(category_id):
            fields['category_id'] = category_id
        return bson.encode(fields)

    def _photos(self, file: int) -> Photos:
        return load_photos(self.listings[file])

    def _read_photos(self, file: int, numbers: Iterable[int]) -> Iterator[bytes | BadPicture]:
        return self._read_places([(file, number) for number in numbers])

    def _read_places(self, places: Sequence[tuple[int, int]]) -> Iterator[bytes | BadPicture]:
        """Yields the contents of photos in order, or why they cannot be read."""
        if not any(storage.is_remote(self.listings[file].path) for file, _ in places):
            yield from map(self._read, places)
            return
        with ThreadPoolExecutor(object_store.REQUESTS_AT_ONCE) as pool:
            yield from pool.map(self._read, places)

    def _read(self, place: tuple[int, int]) -> bytes | BadPicture:
        file, photo = place
        listing = self.listings[file]
        path = self._photos(file).path(photo)
        root = listing.photo_root()
        name = path.removeprefix(root.rstrip('/') + '/')
        found: bytes | BadPicture = b''
        for spelled in _spellings(name):
            try:
                return confined.read_photo(root, spelled, listing.rules)
            except BadPicture as error:
                found = error
                if error.reason != 'missing':
                    break
        return found


def open_photos(
    paths: Sequence[str],
    tree: Categories | None,
    rules: Rules,
    columns: Mapping[str, str] | None = None,
    *,
    folder_in_key: bool = False,
) -> PhotoFiles:
    """Opens folders and lists of photos.

    Args:
      paths: The folders and lists.
      tree: Categories that may name folders. None for unlabelled data.
      rules: Which photos may be read.
      columns: The lists' own names of columns, by our names.
      folder_in_key: Whether the paths of products in a folder begin with the folder's name.

    Raises:
      UserError: If there are no photos, a folder or a list names no category of the tree, or
        products of different folders have the same id.
    """
    inputs: list[list[Listing]] = []
    notes: list[str] = []
    for path in paths:
        if path.lower().endswith(LIST_SUFFIXES):
            inputs.append([list_photos.open_list(path, tree, rules, columns or {})])
            continue
        found = [Listing(path, root=path, rules=rules)]
        if tree is not None:
            found = folder_photos.list_category_folders(path, tree, rules)
        prefix = os.path.basename(os.path.abspath(path)) if folder_in_key else ''
        found, twins = distinct_ids.number_products(found, prefix)
        inputs.append(found)
        if twins:
            notes.append(f'product ids are paths, not numbers, because of {twins}')
    distinct_ids.check_distinct(inputs)
    listings = [listing for found in inputs for listing in found]
    loaded = [load_photos(listing) for listing in listings]
    counts = [len(photos) for photos in loaded]
    if not any(counts):
        others = sum(photos.notes.get('files', 0) for photos in loaded)
        more = f'; it has {counted(others, "other file")}' if others else ''
        raise UserError(f'--input: {paths[0]} must contain BSON files or photos, got none{more}')
    return PhotoFiles(
        tuple(listings),
        tuple(counts),
        _mean_bytes(loaded, rules),
        (*_passed_over(loaded), *notes, *(line for photos in loaded for line in photos.lines)),
        max(photos.keys.longest() for photos in loaded),
    )


def _passed_over(loaded: Sequence[Photos]) -> list[str]:
    """Returns lines with the numbers of files and rows that are not read."""
    texts = {
        'files': 'files passed over that are no photos',
        'rows': 'rows passed over that repeat another',
    }
    total: Counter[str] = Counter()
    for photos in loaded:
        total.update(photos.notes)
    return [f'{text}: {total[name]:,}' for name, text in texts.items() if total[name]]


def _mean_bytes(loaded: Sequence[Photos], rules: Rules) -> float:
    """Returns the mean size of a few evenly spaced photos."""
    ends = np.cumsum([len(photos) for photos in loaded])
    sizes = []
    for number in np.linspace(0, ends[-1] - 1, min(_SAMPLE, ends[-1]), dtype=np.int64).tolist():
        file = int(np.searchsorted(ends, number, side='right'))
        photos = loaded[file]
        path = photos.path(number - int(ends[file]) + len(photos))
        with contextlib.suppress(OSError, ValueError):  # found again, and named, when it is read
            size = storage.size(path) if storage.is_remote(path) else os.lstat(path).st_size
            sizes.append(min(size, rules.max_picture_mb * 1e6))
    return max(sum(sizes) / max(len(sizes), 1), 1.0)


def _product(photos: Photos, number: int, views: Sequence[bytes | BadPicture]) -> Products:
    """Returns one product from the contents of its photos, or why they cannot be read."""
    first = int(photos.first[number])
    data = [_bytes(view) for view in views]
    sizes = np.array([len(view) for view in data], np.int64)
    return Products(
        data=b''.join(data),
        product_ids=photos.product_ids[number : number + 1],
        category_ids=photos.category_ids[number : number + 1],
        positions=np.array([first]),
        lengths=np.array([sizes.sum()]),
        views=np.array([len(views)]),
        places=np.stack([np.cumsum(sizes) - sizes, sizes], axis=1),
        offsets=np.arange(first, first + len(views)),
        unreadable={
            number: view for number, view in enumerate(views) if isinstance(view, BadPicture)
        },
        category_texts={0: text} if (text := photos.category_texts.get(number)) else {},
        keys=np.array([photos.keys[number]]),
        splits=None if photos.splits is None else np.array([photos.splits[number]]),
        groups=None if photos.groups is None else photos.groups[number : number + 1],
    )


def _limited(views: Iterable[bytes | BadPicture], limit_bytes: int) -> Iterator[bytes | BadPicture]:
    """Yields the photos of a product, without those that exceed a size together."""
    total = 0
    for view in views:
        total += len(_bytes(view))
        if total <= limit_bytes:
            yield view
        else:
            message = f'the photos of a product must have at most {limit_bytes} bytes'
            yield BadPicture('too_many_bytes', f'{message}; --max_picture_mb raises this')


def _bytes(view: bytes | BadPicture) -> bytes:
    return b'' if isinstance(view, BadPicture) else view


def _spellings(name: str) -> Iterable[str]:
    """Returns a name, and the same with accents joined, and apart as on a Mac."""
    if name.isascii():
        return (name,)
    return dict.fromkeys((name, normalize('NFC', name), normalize('NFD', name)))
