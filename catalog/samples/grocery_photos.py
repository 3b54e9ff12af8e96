"""Finds the Grocery Store Dataset, in a folder or by a download, and checks its digest.

Klasson, Zhang and Kjellström, WACV 2019, arXiv:1901.00711: 5,421 photos that were taken with phones
in shops, of 81 products in a tree of three levels, with lists of the photos of train, validation
and test.
"""

import csv
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import UserError
from catalog.samples.dump import NoPhotos

LICENCE = 'MIT, (c) 2019 Marcus Klasson'
REPOSITORY = 'https://github.com/marcusklasson/GroceryStoreDataset'

_LISTS = {'train': 'train.txt', 'validation': 'val.txt', 'test': 'test.txt'}
_CLASSES = 'classes.csv'
_INNER = 'dataset'  # the folder within the repository
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Origin:
    """Where the photos come from.

    Attributes:
      url: A .tar.gz of the repository.
      sha256: Of the content, see `Grocery.sha256`.
    """

    url: str = f'{REPOSITORY}/archive/HEAD.tar.gz'
    sha256: str = '1792f9fa1ffe048a0ccc974d596c42d39999dfa15c7f28ee836956e1ba35b65a'


@dataclass(frozen=True)
class Photo:
    """A photo.

    Attributes:
      path: Below the folder, with slashes.
      split: `train`, `validation` or `test`.
      category_id: The number of its product, from 0.
    """

    path: str
    split: str
    category_id: int


@dataclass(frozen=True)
class Grocery:
    """The data set in a folder.

    Attributes:
      folder: With the lists and the photos.
      tree: (category id, group, kind, product) of each product, such as (2, 'Fruit', 'Apple',
        'Pink-Lady').
      photos: In the order of the official lists: train, validation, test.
    """

    folder: Path
    tree: tuple[tuple[int, str, str, str], ...]
    photos: tuple[Photo, ...]

    def read(self, photo: Photo) -> bytes:
        """Returns the bytes of a photo."""
        return (self.folder / photo.path).read_bytes()

    def sha256(self) -> str:
        """Returns the SHA-256 of the tree, the lists and the bytes of all photos, in hex."""
        digest = hashlib.sha256(repr(self.tree).encode())
        for photo in self.photos:
            digest.update(f'{photo.path},{photo.split},{photo.category_id}\n'.encode())
            digest.update(hashlib.sha256(self.read(photo)).digest())
        return digest.hexdigest()


def default_cache() -> Path:
    """Returns the folder for the download, below XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(base).expanduser() / 'product-categories' / 'grocery'


def open_folder(folder: Path, origin: Origin) -> Grocery:
    """Opens a copy of the repository, or of its folder `dataset`, and checks it.

    Raises:
      UserError: If a file is missing or the content is another.
    """
    return _open(folder, origin, name=str(folder))


def _open(folder: Path, origin: Origin, *, name: str) -> Grocery:
    inner = folder / _INNER if (folder / _INNER).is_dir() else folder
    try:
        grocery = Grocery(inner, tuple(_tree(inner)), tuple(_photos(inner)))
        found = grocery.sha256()
    except (OSError, ValueError, IndexError) as error:
        raise UserError(
            f'{name}: must be the Grocery Store Dataset, a copy of {REPOSITORY}, got: {error}'
        ) from error
    if found != origin.sha256:
        raise UserError(
            f'{name}: the Grocery Store Dataset must have the content digest {origin.sha256}, '
            f'got {found}; copy {REPOSITORY} again'
        )
    return grocery


def find(cache: Path, origin: Origin) -> Grocery:
    """Opens the data set in `cache`, or downloads it to there.

    Raises:
      NoPhotos: If the repository is out of reach.
      UserError: If the content is another than expected.
    """
    if (cache / _CLASSES).exists():
        return open_folder(cache, origin)
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'--cache must be a folder that can be written, got: {error}') from error
    with tempfile.TemporaryDirectory(dir=cache.parent, prefix='.grocery-') as scratch:
        downloaded = _open(_download(origin.url, Path(scratch)), origin, name=origin.url)
        shutil.rmtree(cache, ignore_errors=True)
        downloaded.folder.rename(cache)
    return open_folder(cache, origin)


def _download(url: str, scratch: Path) -> Path:
    """Downloads and unpacks the repository; returns its folder."""
    if sys.stderr.isatty():
        print(f'downloading {url}, about 120 MB', file=sys.stderr)
    archive = scratch / 'archive.tar.gz'
    try:
        with (
            urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response,  # noqa: S310  # nosec B310
            archive.open('wb') as file,
        ):
            shutil.copyfileobj(response, file)
        with tarfile.open(archive) as packed:
            packed.extractall(scratch / 'unpacked', filter='data')
        (folder,) = (scratch / 'unpacked').iterdir()
    except (OSError, EOFError, ValueError, tarfile.TarError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise NoPhotos(
            f'the Grocery Store Dataset must be downloadable from {url} ({reason}) or be given as '
            '--source=FOLDER'
        ) from error
    return folder


def _tree(folder: Path) -> Iterator[tuple[int, str, str, str]]:
    with (folder / _CLASSES).open(encoding='utf-8', newline='') as file:
        for name, number, kind, _, iconic_path, *_ in list(csv.reader(file))[1:]:
            yield int(number), iconic_path.split('/')[2], kind, name


def _photos(folder: Path) -> Iterator[Photo]:
    for split, name in _LISTS.items():
        for line in (folder / name).read_text(encoding='utf-8').splitlines():
            path, number, _ = line.split(',')
            yield Photo(path.strip(), split, int(number))
