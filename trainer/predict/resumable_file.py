"""A file that is written in pieces, resumes after kill -9, and gets its name when it is complete.

While incomplete it is named `.partial-NAME`. `.progress-NAME` holds the number of committed bytes,
their SHA-256, and the writer's state after them. Bytes beyond these were being written when the
writer was killed; they are discarded.

A file on an object store is written to the same names in a folder of `~/.cache` (`XDG_CACHE_HOME`
replaces it), and uploaded when it is complete: a run resumes on the same machine.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from catalog import object_store, storage
from catalog.errors import UserError

COMMIT_SECONDS = 1.0  # minimum time between two commits


class ResumableFile:
    """A file to append to.

    Usage:
      with ResumableFile(path, identity='…') as file:
          state = file.state  # of an interrupted run, or None
          file.write(data, {'place': 7})
          file.finish()

    Attributes:
      state: The writer's state after the last committed bytes, None at the beginning.
    """

    def __init__(self, path: str, *, identity: str) -> None:
        """Opens the file of an interrupted run, or a new one.

        Args:
          path: Name of the complete file.
          identity: Digest of everything that the contents depend on.

        Raises:
          UserError: If the interrupted run has another identity, or its bytes were changed.
        """
        self._object = path if storage.is_remote(path) else None
        self._path = _local_path(path)
        self._partial = self._path.with_name(f'.partial-{self._path.name}')
        self._progress = self._path.with_name(f'.progress-{self._path.name}')
        self._identity = identity
        self._digest = hashlib.sha256()
        self._bytes = 0
        self.state: Mapping[str, Any] | None = None
        storage.make_folder(str(self._path.parent))
        if self._progress.exists() and self._partial.exists():
            self._restore()
        self._file = open(self._partial, 'r+b' if self._bytes else 'wb')  # noqa: SIM115  (exit)
        self._file.truncate(self._bytes)
        self._file.seek(self._bytes)
        self._committed_at = time.monotonic()

    def _restore(self) -> None:
        found = json.loads(self._progress.read_bytes())
        if found['identity'] != self._identity:
            raise UserError(
                f'{self._partial}: was started with other inputs, models or options; use the same '
                'again, or start over with --overwrite'
            )
        with self._partial.open('rb') as file:
            while self._bytes < found['bytes']:
                data = file.read(min(1 << 20, found['bytes'] - self._bytes))
                if not data:
                    break
                self._digest.update(data)
                self._bytes += len(data)
        if self._digest.hexdigest() != found['sha256']:
            raise UserError(
                f'{self._partial}: its first {found["bytes"]} bytes must be unchanged, got others; '
                'start over with --overwrite'
            )
        self.state = found['state']

    def __enter__(self) -> 'ResumableFile':
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, data: bytes, state: Mapping[str, Any]) -> None:
        """Appends bytes; after the next commit, an interrupted run resumes after them."""
        self._file.write(data)
        self._digest.update(data)
        self._bytes += len(data)
        self.state = state
        if time.monotonic() - self._committed_at >= COMMIT_SECONDS:
            self._commit()

    def _commit(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        document = {
            'identity': self._identity,
            'bytes': self._bytes,
            'sha256': self._digest.hexdigest(),
            'state': self.state,
        }
        storage.write_bytes(str(self._progress), json.dumps(document).encode())
        self._committed_at = time.monotonic()

    def finish(self) -> None:
        """Gives the complete file its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._object:
            with self._partial.open('rb') as file:
                object_store.upload(self._object, file)
            self._partial.unlink()
        else:
            os.replace(self._partial, self._path)
        self._progress.unlink(missing_ok=True)


def _local_path(path: str) -> Path:
    if not storage.is_remote(path):
        return Path(path)
    base = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    folder = hashlib.sha256(path.encode()).hexdigest()[:16]
    return base / 'product-categories' / 'predictions' / folder / path.rpartition('/')[2]


def check_output(path: str, *, overwrite: bool) -> None:
    """Checks that a file can be written.

    Raises:
      UserError: If it exists and must not be overwritten.
    """
    if storage.exists(path) and not overwrite:
        raise UserError(f'{path}: must not exist yet, got a file; add --overwrite')


def delete_output(path: str) -> None:
    """Deletes a file, complete or incomplete, if it exists."""
    storage.delete(path)
    target = _local_path(path)
    for name in (target.name, f'.partial-{target.name}', f'.progress-{target.name}'):
        target.with_name(name).unlink(missing_ok=True)
