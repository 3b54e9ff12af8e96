"""Photos, each in a file of its own: in folders by category, or named by a list.

`DIR/CATEGORY/...`: CATEGORY is a category_id, or a leaf's names as `LEVEL 1 > LEVEL 2 > LEVEL 3`,
spaces around a name left out and `_` for each `/` in it. Whatever lies directly in it is a product:
a file is its only photo, a folder holds its photos. Without categories, products lie directly in
DIR. A product's id is the name if that is a number (`123.jpg`, `123/`), else a hash of the path
from DIR on. Hidden files are passed over.

A list (`.csv`, `.parquet`) has the columns `path` (from the list's folder on), `category` (id) and
perhaps `product` (id). Rows with the same product and category are one product; a row without a
product is one by itself, its id as above. A worker holds a list, or the names in the folders, in
memory: about 100 bytes a photo.

A product's photos are its views in order of their paths. Units of a range are photos of a listing;
a product belongs to the range that holds its first. `file` is the listing, `offset` the photo in
it, `document` the product's first photo. Each photo is a read of its own, on an object store too.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import bson
import numpy as np

from beam_pipelines.scan.scan import Range, Rejected, Scan, Scanner
from beam_pipelines.sources import photo_lists
from beam_pipelines.sources.photo_lists import NO_CATEGORY, Listing, Photos
from beam_pipelines.table import Table
from catalog import object_store, storage
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.formats.bson_document import Product

_MAX_VIEWS = 1000  # a folder with more is no product
_SAMPLE = 64  # photos whose sizes stand for all
_SHIFT = 32  # a product's photos are added as one piece of data, shorter than 2^32 bytes


@dataclass(frozen=True)
class PhotoFiles:
    """Listings of photos as one source.

    Attributes:
      listings: in order.
      counts: photos of each.
      mean_bytes: of a photo, by a sample.
    """

    listings: tuple[Listing, ...]
    counts: tuple[int, ...]
    mean_bytes: float

    def split(self, *, range_bytes: int) -> list[Range]:
        """Ranges of about as many photos each."""
        photos = max(int(range_bytes / self.mean_bytes), 1)
        return [
            Range(file, start, min(start + photos, count))
            for file, count in enumerate(self.counts)
            for start in range(0, count, photos)
        ]

    def total_bytes(self) -> int:
        """About the size of all photos."""
        return int(self.mean_bytes * sum(self.counts))

    def name(self, file: int) -> str:
        """The folder or list."""
        return self.listings[file].path

    def place(self, rejected: Rejected) -> str:
        """The path of a rejected photo, or of a rejected product's first."""
        return self._photos(rejected.file).path(rejected.offset)

    def scan(
        self,
        scanned: Range,
        *,
        label_of: Mapping[int, int] | None,
        decode: bool,
        start: int | None = None,
    ) -> Scan:
        """Scans a range; `start` is not needed: the listing says where products begin."""
        del start
        photos = self._photos(scanned.file)
        scanner = Scanner(label_of, decode=decode, file=scanned.file)
        low, high = np.searchsorted(photos.first, [scanned.start, scanned.stop]).tolist()
        if high == low:
            return scanner.result(scanned, first=None, end=None)
        cuts = photos.first[low : high + 1].tolist()
        missing: set[int] = set()
        wanted = (n for a, b in pairwise(cuts) if _usual(a, b) for n in range(a, b))
        views = _read_all(photos, wanted)
        for number, (begin, end) in enumerate(pairwise(cuts), low):
            if _usual(begin, end):
                data = [next(views) for _ in range(begin, end)]
                missing |= {begin + n for n, view in enumerate(data) if view is None}
                _add(scanner, photos, number, [view or b'' for view in data])
            else:
                scanner.reject_piece(
                    reason='too_many_pictures',
                    message=f'a product must have at most {_MAX_VIEWS} photos, got {end - begin}',
                    offset=begin,
                    length=0,
                    product_id=int(photos.product_ids[number]),
                )
        return _by_photo(scanner.result(scanned, first=cuts[0], end=cuts[-1]), missing)

    def end_of(self, scanned: Range, *, start: int) -> int:
        """Where the last product that begins in a range ends, if one begins at `start`."""
        first = self._photos(scanned.file).first
        return max(int(first[np.searchsorted(first, scanned.stop)]), start)

    def fetch(self, table: Table) -> list[bytes]:
        """The photos of the rows, in their order.

        Raises:
          UserError: if one is gone.
        """
        paths = [
            self._photos(file).path(photo)
            for file, photo in zip(table['file'].tolist(), table['offset'].tolist(), strict=True)
        ]
        pictures = []
        for path, data in zip(paths, _read_paths(paths), strict=True):
            if data is None:
                raise UserError(f'{path}: must not change while it is read, it is gone; run again')
            pictures.append(data)
        return pictures

    def fetch_rejected(self, rejected: Rejected) -> bytes:
        """The bytes of a rejected photo; of a product, a document as a BSON dump would hold it."""
        photos = self._photos(rejected.file)
        if rejected.picture is not None:
            return _read(photos.path(rejected.offset)) or b''
        number = int(np.searchsorted(photos.first, rejected.offset))
        views: Iterable[bytes | None] = ()
        if rejected.length:
            views = _read_all(photos, range(*photos.first[number : number + 2].tolist()))
        images = [{'picture': view or b''} for view in views]
        fields: dict[str, object] = {'_id': int(photos.product_ids[number]), 'imgs': images}
        category_id = int(photos.category_ids[number])
        if category_id != NO_CATEGORY:
            fields['category_id'] = category_id
        return bson.encode(fields)

    def _photos(self, file: int) -> Photos:
        return photo_lists.load(self.listings[file])


def open_photos(paths: Sequence[str], tree: Categories | None) -> PhotoFiles:
    """Opens folders and lists of photos.

    Raises:
      UserError: if there is no photo, or no folder names a category of the tree.
    """
    listings = []
    for path in paths:
        if tree is None or path.endswith(photo_lists.LIST_SUFFIXES):
            listings.append(Listing(path, root=path))
        else:
            listings.extend(photo_lists.categories_of(path, tree))
    loaded = [photo_lists.load(listing) for listing in listings]
    counts = [len(photos) for photos in loaded]
    if not any(counts):
        raise UserError(f'--input: {paths[0]} must hold BSON files or photos, got none')
    return PhotoFiles(tuple(listings), tuple(counts), _mean_bytes(loaded))


def _mean_bytes(loaded: Sequence[Photos]) -> float:
    """The mean size of a few photos that lie evenly among all."""
    ends = np.cumsum([len(photos) for photos in loaded])
    sizes = []
    for number in np.linspace(0, ends[-1] - 1, min(_SAMPLE, ends[-1]), dtype=np.int64).tolist():
        file = int(np.searchsorted(ends, number, side='right'))
        photos = loaded[file]
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            sizes.append(storage.size(photos.path(number - int(ends[file]) + len(photos))))
    return max(sum(sizes) / max(len(sizes), 1), 1.0)


def _usual(begin: int, end: int) -> bool:
    return end - begin <= _MAX_VIEWS


def _add(scanner: Scanner, photos: Photos, number: int, views: Sequence[bytes]) -> None:
    """Adds a product as if its photos lay in one piece, at the first one's place."""
    begin = int(photos.first[number])
    category_id = int(photos.category_ids[number])
    ends = np.cumsum([len(view) for view in views]).tolist()
    product = Product(
        int(photos.product_ids[number]),
        None if category_id == NO_CATEGORY else category_id,
        tuple((end - len(view), len(view)) for end, view in zip(ends, views, strict=True)),
    )
    scanner.add(product, b''.join(views), base=begin << _SHIFT, offset=begin, length=ends[-1])


def _by_photo(scan: Scan, missing: set[int]) -> Scan:
    """A scan whose pictures' offsets are photos, with the reason of those that have no file."""
    scan.table['offset'] = (scan.table['offset'] >> _SHIFT) + scan.table['index']
    rejected = []
    for piece in scan.rejected:
        if piece.picture is not None:
            photo = (piece.offset >> _SHIFT) + piece.picture
            piece = dataclasses.replace(piece, offset=photo)
            if photo in missing:
                scan.counts.pictures[f'rejected_{piece.reason}'] -= 1
                scan.counts.pictures['rejected_missing'] += 1
                piece = dataclasses.replace(
                    piece, reason='missing', message='there is no such file'
                )
        rejected.append(piece)
    return dataclasses.replace(scan, rejected=tuple(rejected))


def _read_all(photos: Photos, numbers: Iterable[int]) -> Iterator[bytes | None]:
    return _read_paths([photos.path(number) for number in numbers])


def _read_paths(paths: Sequence[str]) -> Iterator[bytes | None]:
    """The bytes of files, in order; None for one that is not there."""
    if not any(storage.is_remote(path) for path in paths):
        yield from map(_read, paths)
        return
    with ThreadPoolExecutor(object_store.REQUESTS_AT_ONCE) as pool:
        yield from pool.map(_read, paths)


def _read(path: str) -> bytes | None:
    try:
        return storage.read_bytes(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
