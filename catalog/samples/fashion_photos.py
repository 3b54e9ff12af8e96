"""Fashion-MNIST: where its 70,000 photos are found, and that they are the right ones.

Tried in order: an earlier download, the installed Debian package, the same package unpacked
without root, Keras's own downloader (in a process of its own: TensorFlow is not imported here).
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

from catalog.errors import UserError

PACKAGE = 'dataset-fashion-mnist'
LICENCE = 'MIT, (c) 2017 Zalando SE'

_INSTALLED = Path('/usr/share/datasets/fashion-mnist')
_TIMEOUT_SECONDS = 300

# SHA-256 of the files as they are inside the .gz, whose header differs from packager to packager.
# The same content, under Zalando's header, has the MD5 that Zalando publishes.
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


class NoPhotos(UserError):
    """The photos are to be had nowhere; the message names each place and why not."""


class _NotHere(Exception):
    """One place does not have them."""


@dataclass(frozen=True)
class Photos:
    """Fashion-MNIST.

    Attributes:
      train_images: uint8 [60000, 28, 28].
      train_labels: uint8 [60000], 0 to 9.
      test_images: uint8 [10000, 28, 28].
      test_labels: uint8 [10000], 0 to 9.
      source: where they were found.
    """

    train_images: Pixels
    train_labels: Pixels
    test_images: Pixels
    test_labels: Pixels
    source: str


def default_cache() -> Path:
    """Where downloads are kept: below XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(base).expanduser() / 'product-categories' / 'fashion-mnist'


def find(cache: Path) -> Photos:
    """Finds the photos, and keeps in `cache` what had to be downloaded.

    Raises:
      NoPhotos: naming each place that was tried and why it failed.
    """
    places: list[tuple[str, Callable[[Path], Path]]] = [
        (f'{cache} (downloaded before)', lambda _: cache),
        (f'{_INSTALLED} (Debian package {PACKAGE})', lambda _: _INSTALLED),
        (f'Debian package {PACKAGE}, by apt-get download', _from_debian),
        ("Keras's downloader", _from_keras),
    ]
    failures = []
    for name, fetch in places:
        if sys.stderr.isatty():
            print(f'looking for Fashion-MNIST: {name}', file=sys.stderr)
        with tempfile.TemporaryDirectory() as scratch:
            try:
                folder = fetch(Path(scratch))
                photos = _load(folder, source=name)
            except _NotHere as error:
                failures.append(f'{name}: {error}')
                continue
            if folder.is_relative_to(scratch):
                _keep(folder, cache)
            return photos
    raise NoPhotos('Fashion-MNIST is to be had nowhere; tried ' + '; '.join(failures))


def _load(folder: Path, *, source: str) -> Photos:
    train_images, train_labels, test_images, test_labels = (
        _idx(folder / name, sha256=sha256) for name, sha256 in _SHA256.items()
    )
    return Photos(train_images, train_labels, test_images, test_labels, source)


def _idx(path: Path, *, sha256: str) -> Pixels:
    """Reads an IDX file: two zeros, type 8 (uint8), rank, the sizes as big-endian int32, data."""
    try:
        data = gzip.decompress(path.read_bytes())
    except FileNotFoundError as error:
        raise _NotHere('not there') from error
    except (OSError, EOFError, zlib.error) as error:
        raise _NotHere(f'{path.name} cannot be read: {error}') from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise _NotHere(f'{path.name} must have the SHA-256 {sha256} unpacked, got {found}')
    rank = data[3]
    shape = np.frombuffer(data, '>i4', count=rank, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _keep(folder: Path, cache: Path) -> None:
    # Only a convenience: an ordinary user may have no home to write to.
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        for name in _SHA256:
            partial = cache / f'.partial-{os.getpid()}-{name}'
            shutil.copyfile(folder / name, partial)
            partial.replace(cache / name)


def _from_debian(scratch: Path) -> Path:
    try:
        _download_package(scratch, options=[])
    except _NotHere:
        # The machine's package lists are missing or stale: fetch our own, which needs no root.
        _download_package(scratch, options=_own_package_lists(scratch))
    packages = sorted(scratch.glob(f'{PACKAGE}_*.deb'))
    if not packages:
        raise _NotHere('apt-get download left no package')
    _run(['dpkg', '-x', str(packages[0]), 'unpacked'], scratch)
    return scratch / 'unpacked' / _INSTALLED.relative_to('/')


def _download_package(scratch: Path, *, options: list[str]) -> None:
    # As root, apt would fetch as user _apt, who may not write here.
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
      _NotHere: with the last thing that it said.
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
        raise _NotHere(f'no command {command[0]}') from error
    except subprocess.TimeoutExpired as error:
        raise _NotHere(f'{command[0]} took more than {_TIMEOUT_SECONDS} s') from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ['no message']
        raise _NotHere(f'{Path(command[0]).name} failed: {lines[-1]}')
