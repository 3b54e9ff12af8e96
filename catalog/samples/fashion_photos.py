"""Finds the 70,000 photos of Fashion-MNIST and checks their digests.

Tries, in order: an earlier download, the installed Debian package, the same package downloaded and
unpacked without root, and Keras's downloader, in its own process so that TensorFlow is not imported
here.
"""

import contextlib
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from catalog.samples.dump import NoPhotos

PACKAGE = 'dataset-fashion-mnist'
LICENCE = 'MIT, (c) 2017 Zalando SE'

_INSTALLED = Path('/usr/share/datasets/fashion-mnist')
_TIMEOUT_SECONDS = 300

# SHA-256 of the decompressed files, because the .gz header differs between packagers. With
# Zalando's header, the same content has the MD5 that Zalando publishes.
_SHA256 = {
    'train-images-idx3-ubyte.gz': (
        'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888'
    ),
    'train-labels-idx1-ubyte.gz': (
        'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9'
    ),
    't10k-images-idx3-ubyte.gz': (
        '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b'
    ),
    't10k-labels-idx1-ubyte.gz': (
        '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34'
    ),
}

Pixels = npt.NDArray[np.uint8]


class _Unavailable(Exception):
    """A source does not have the photos."""


@dataclass(frozen=True)
class Photos:
    """Fashion-MNIST.

    Attributes:
      train_images: uint8 [60000, 28, 28].
      train_labels: uint8 [60000], 0 to 9.
      test_images: uint8 [10000, 28, 28].
      test_labels: uint8 [10000], 0 to 9.
      source: The source that had them.
    """

    train_images: Pixels
    train_labels: Pixels
    test_images: Pixels
    test_labels: Pixels
    source: str


def default_cache() -> Path:
    """Returns the folder for downloads, below XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(base).expanduser() / 'product-categories' / 'fashion-mnist'


def find(cache: Path) -> Photos:
    """Finds the photos, and stores downloads in `cache`.

    Raises:
      NoPhotos: If no source has them, listing each source and its error.
    """
    sources: list[tuple[str, Callable[[Path], Path]]] = [
        (f'{cache} (earlier download)', lambda _: cache),
        (f'{_INSTALLED} (Debian package {PACKAGE})', lambda _: _INSTALLED),
        (f'Debian package {PACKAGE} from apt-get download', _from_debian),
        ("Keras's downloader", _from_keras),
    ]
    failures = []
    for name, fetch in sources:
        if sys.stderr.isatty():
            print(f'searching for Fashion-MNIST: {name}', file=sys.stderr)
        with tempfile.TemporaryDirectory() as scratch:
            try:
                folder = fetch(Path(scratch))
                photos = _load(folder, source=name)
            except _Unavailable as error:
                failures.append(f'{name}: {error}')
                continue
            if folder.is_relative_to(scratch):
                _keep(folder, cache)
            return photos
    raise NoPhotos('Fashion-MNIST must be installed or downloadable; tried ' + '; '.join(failures))


def _load(folder: Path, *, source: str) -> Photos:
    train_images, train_labels, test_images, test_labels = (
        _idx(folder / name, sha256=sha256) for name, sha256 in _SHA256.items()
    )
    return Photos(train_images, train_labels, test_images, test_labels, source)


def _idx(path: Path, *, sha256: str) -> Pixels:
    """Reads an IDX file: two zeros, type 8 (uint8), rank, sizes as big-endian int32, data."""
    try:
        data = gzip.decompress(path.read_bytes())
    except FileNotFoundError as error:
        raise _Unavailable('not found') from error
    except (OSError, EOFError, zlib.error) as error:
        raise _Unavailable(f'{path.name} cannot be read: {error}') from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise _Unavailable(f'{path.name} must have the SHA-256 {sha256} decompressed, got {found}')
    rank = data[3]
    shape = np.frombuffer(data, '>i4', count=rank, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _keep(folder: Path, cache: Path) -> None:
    # The cache is optional: a user may have no writable home.
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        for name in _SHA256:
            partial = cache / f'.partial-{os.getpid()}-{name}'
            shutil.copyfile(folder / name, partial)
            partial.replace(cache / name)


def _from_debian(scratch: Path) -> Path:
    try:
        _download_package(scratch, options=[])
    except _Unavailable:
        # The machine's package lists are missing or stale: fetch new ones, which needs no root.
        _download_package(scratch, options=_own_package_lists(scratch))
    packages = sorted(scratch.glob(f'{PACKAGE}_*.deb'))
    if not packages:
        raise _Unavailable('apt-get download left no package')
    _run(['dpkg', '-x', str(packages[0]), 'unpacked'], scratch)
    return scratch / 'unpacked' / _INSTALLED.relative_to('/')


def _download_package(scratch: Path, *, options: list[str]) -> None:
    # Under root, apt would fetch as user _apt, who may not write here.
    _run(['apt-get', '-q', '-o', 'APT::Sandbox::User=root', *options, 'download', PACKAGE], scratch)


def _own_package_lists(scratch: Path) -> list[str]:
    options = []
    for option, name in (('Dir::State::lists', 'lists'), ('Dir::Cache', 'cache')):
        (scratch / name).mkdir(exist_ok=True)
        options += ['-o', f'{option}={scratch / name}']
    _run(['apt-get', '-q', '-o', 'APT::Sandbox::User=root', *options, 'update'], scratch)
    return options


def _from_keras(scratch: Path) -> Path:
    code = 'import keras; keras.datasets.fashion_mnist.load_data()'
    _run([sys.executable, '-c', code], scratch, KERAS_HOME=str(scratch))
    return scratch / 'datasets' / 'fashion-mnist'


def _run(command: list[str], folder: Path, **environment: str) -> None:
    """Runs a command in a folder.

    Raises:
      _Unavailable: With the last line of its standard error.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, 'LC_ALL': 'C', **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
        )
    except FileNotFoundError as error:
        raise _Unavailable(f'{command[0]} is not installed') from error
    except subprocess.TimeoutExpired as error:
        raise _Unavailable(f'{command[0]} took more than {_TIMEOUT_SECONDS} s') from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ['no message']
        raise _Unavailable(f'{Path(command[0]).name} failed: {lines[-1]}')
