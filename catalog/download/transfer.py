"""Downloads a file: resumed by range after any interruption, unzipped, checked, then renamed.

While it is incomplete, a file is `.partial-NAME`, and `.partial-NAME.tag` holds the entity tag of
what it is a part of: a file that has changed meanwhile is downloaded anew.
"""

import hashlib
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import requests

from catalog import storage
from catalog.errors import UserError
from catalog.process.progress import Progress

FIRST_WAIT_SECONDS = 1.0  # doubles with each failure in a row
MOST_FAILURES = 6  # in a row, without a byte in between

_PIECE_BYTES = 1 << 18  # a cut connection loses less than one
_TIMEOUT_SECONDS = 60
_ZIP = b'PK\x03\x04'


def fetch(name: str, folder: Path, *, sha256: str, find_url: Callable[[], str]) -> str:
    """Downloads a file into a folder. A complete file is only checked.

    Args:
      name: Name of the file.
      folder: An existing folder.
      sha256: Of the file, unzipped, in hex.
      find_url: Returns a URL of the file; called at every start, because a URL may expire.

    Returns:
      `downloaded`, or `present` if the file was there.

    Raises:
      UserError: If it cannot be downloaded, or has another digest.
    """
    path = folder / name
    if path.exists():
        _check(path, sha256, fix='delete it to download it again')
        return 'present'
    partial = folder / f'.partial-{name}'
    _download(name, partial, find_url)
    unpacked = _unzip(name, partial)
    try:
        _check(unpacked, sha256, fix='the same command downloads it again', name=name)
    except UserError:
        for found in (unpacked, partial, _tag(partial)):
            found.unlink(missing_ok=True)
        raise
    storage.sync(str(unpacked))
    os.replace(unpacked, path)
    for found in (partial, _tag(partial)):
        found.unlink(missing_ok=True)
    return 'downloaded'


def _tag(partial: Path) -> Path:
    return partial.with_name(f'{partial.name}.tag')


def _download(name: str, partial: Path, find_url: Callable[[], str]) -> None:
    failures, size = 0, _size(partial)
    while True:
        try:
            _continue(name, partial, find_url())
        except requests.RequestException as error:
            failures = 1 if _size(partial) > size else failures + 1
            size = _size(partial)
            if failures >= MOST_FAILURES:
                raise UserError(
                    f'{name}: the download failed {failures} times in a row after {size:,} bytes, '
                    f'the last time with {type(error).__name__}; the same command resumes it'
                ) from error
            print(
                f'note: {name}: interrupted after {size:,} bytes, {type(error).__name__}; resuming',
                file=sys.stderr,
            )
            time.sleep(FIRST_WAIT_SECONDS * 2 ** (failures - 1))
        else:
            return


def _size(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def _continue(name: str, partial: Path, url: str) -> None:
    """Downloads the rest of a file.

    Raises:
      requests.RequestException: If it ends too early, or the server fails.
    """
    done, tag = _size(partial), _tag(partial)
    known = tag.read_text() if done and tag.exists() else ''
    ranges = {'Range': f'bytes={done}-', 'If-Range': known} if known else {}
    headers = {'Accept-Encoding': 'identity', **ranges}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable and known:
            return  # it was complete
        response.raise_for_status()
        done = done if response.status_code == requests.codes.partial_content else 0
        total = done + int(response.headers['Content-Length'])
        free = shutil.disk_usage(partial.parent).free
        if total - done > free:
            raise UserError(
                f'{partial.parent}: must have {(total - done) / 1e9:.1f} GB free for {name}, got '
                f'{free / 1e9:.1f} GB'
            )
        tag.write_text(response.headers.get('ETag', ''))
        progress = Progress(name, total=total / 1e6, unit='MB')
        with partial.open('ab' if done else 'wb') as file:
            for piece in response.iter_content(_PIECE_BYTES):
                file.write(piece)
                done += len(piece)
                progress.update(done / 1e6)
        progress.close()
    if done != total:
        raise requests.ConnectionError(f'got {done:,} of {total:,} bytes')


def _unzip(name: str, partial: Path) -> Path:
    """Unpacks a file that arrived in a zip archive; returns the path of its bytes."""
    with partial.open('rb') as file:
        if name.endswith('.zip') or file.read(len(_ZIP)) != _ZIP:
            return partial
    unpacked = partial.with_name(f'{partial.name}.unzipped')
    try:
        with (
            zipfile.ZipFile(partial) as archive,
            archive.open(name) as source,
            unpacked.open('wb') as target,
        ):
            shutil.copyfileobj(source, target, _PIECE_BYTES)
    except (zipfile.BadZipFile, KeyError) as error:
        for found in (unpacked, partial, _tag(partial)):
            found.unlink(missing_ok=True)
        raise UserError(
            f'{name}: Kaggle must send a valid zip archive with this file, got another one; the '
            'same command downloads it again'
        ) from error
    return unpacked


def _check(path: Path, sha256: str, *, fix: str, name: str | None = None) -> None:
    with path.open('rb') as file:
        found = hashlib.file_digest(file, 'sha256').hexdigest()
    if found != sha256:
        raise UserError(f'{name or path}: must have the SHA-256 {sha256}, got {found}; {fix}')
