"""A file that is written piece by piece, goes on after kill -9, and gets its name when it is whole.

While it grows it lies beside its name as `.partial-NAME`; `.progress-NAME` says how many of its
bytes count, their SHA-256, and the state that goes with them. What follows these bytes was being
written when the writer was killed, and is cut off.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from catalog import storage
from catalog.errors import UserError

COMMIT_SECONDS = 1.0  # between two commits, at least


class ResumableFile:
    """A file that grows.

    Usage:
      with ResumableFile(path, identity='…') as file:
          state = file.state  # of an earlier sitting, or None
          file.write(data, {'place': 7})
          file.finish()

    Attributes:
      state: what was given with the last bytes that count, None at the beginning.
    """

    def __init__(self, path: str, *, identity: str) -> None:
        """Opens what an earlier sitting left, if it is of the same identity.

        Raises:
          UserError: if what was left is of other inputs or options, or not what was written.
        """
        self._path = Path(path)
        self._partial = self._path.with_name(f'.partial-{self._path.name}')
        self._progress = self._path.with_name(f'.progress-{self._path.name}')
        self._identity = identity
        self._digest = hashlib.sha256()
        self._bytes = 0
        self.state: Mapping[str, Any] | None = None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._progress.exists() and self._partial.exists():
            self._restore()
        self._file = open(self._partial, 'r+b' if self._bytes else 'wb')  # noqa: SIM115  (exit)
        self._file.truncate(self._bytes)
        self._file.seek(self._bytes)
        self._committed_at = time.monotonic()

    def _restore(self) -> None:
        left = json.loads(self._progress.read_bytes())
        if left['identity'] != self._identity:
            raise UserError(
                f'{self._partial}: was begun with other inputs, models or options; give the same '
                'again, or begin anew with --overwrite'
            )
        with self._partial.open('rb') as file:
            while self._bytes < left['bytes']:
                data = file.read(min(1 << 20, left['bytes'] - self._bytes))
                if not data:
                    break
                self._digest.update(data)
                self._bytes += len(data)
        if self._digest.hexdigest() != left['sha256']:
            raise UserError(
                f'{self._partial}: its first {left["bytes"]} bytes must be those that were '
                'written, got others; begin anew with --overwrite'
            )
        self.state = left['state']

    def __enter__(self) -> 'ResumableFile':
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, data: bytes, state: Mapping[str, Any]) -> None:
        """Appends bytes; from the next commit on, a later sitting goes on after them."""
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
        """Gives the file its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._partial, self._path)
        self._progress.unlink(missing_ok=True)


def prepare(path: str, *, overwrite: bool) -> None:
    """Looks whether a file may be written; `overwrite` deletes it, and what is left of one.

    Raises:
      UserError: if it is there, or on an object store.
    """
    if storage.is_remote(path):
        raise UserError(f'{path}: must be a local file; copy it to the object store afterwards')
    target = Path(path)
    if not overwrite:
        if target.exists():
            raise UserError(f'{path}: must not exist yet, got a file; add --overwrite')
        return
    for name in (target.name, f'.partial-{target.name}', f'.progress-{target.name}'):
        target.with_name(name).unlink(missing_ok=True)
