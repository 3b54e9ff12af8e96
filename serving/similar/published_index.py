"""The newest index in a folder of versions, which `serving.index` publishes."""

import os
import threading
from collections.abc import Callable

from catalog import storage
from catalog.errors import UserError
from serving.similar import index_info
from serving.similar.graph import Floats
from serving.similar.product_index import Matches, ProductIndex

Fingerprint = list[tuple[str, int, int]]  # (file, size in bytes, mtime in ns) of a version


class PublishedIndex:
    """The newest index in a folder. Any thread may search while another one reloads.

    Usage:
      index = PublishedIndex('similar', report=print)
      threading.Thread(target=index.watch, args=(1.0,), kwargs={'until': stopped}).start()
      ids, distances, products = index.search(embeddings, 10)
    """

    def __init__(self, folder: str, *, report: Callable[[str], None]) -> None:
        """Opens the newest version. `report` receives one line for each that opens or fails.

        Raises:
          UserError: If the folder has no version, or if the newest one is not an intact index.
        """
        self._folder = folder
        self._report = report
        self._failed: Fingerprint = []
        number = newest_version(folder)
        if number is None:
            raise UserError(
                f'{folder}: must contain an index, got none; build one with serving.index'
            )
        self._current = self._open(number)

    @property
    def current(self) -> ProductIndex:
        """The index that is searched now; for several calls that must use the same one."""
        return self._current

    def search(self, embeddings: Floats, k: int) -> Matches:
        """Searches the newest index, as `ProductIndex.search`."""
        return self._current.search(embeddings, k)

    def poll(self) -> bool:
        """Opens the newest version, and returns whether it replaced another one.

        If it is not an intact index, that is reported once, and the old one stays. Searches in
        progress complete on the old one, whose files may be deleted meanwhile.
        """
        number = newest_version(self._folder)
        if number is None or number == self._current.version:
            return False
        found = _fingerprint(storage.join(self._folder, str(number)))
        if found == self._failed:
            return False
        try:
            self._current = self._open(number)
        except (UserError, OSError) as error:
            self._failed = found
            self._report(f'index version {number} failed to open: {error}')
            return False
        return True

    def watch(self, every_seconds: float, *, until: threading.Event) -> None:
        """Polls until the event is set. Only one thread may watch."""
        while not until.wait(every_seconds):
            self.poll()

    def _open(self, number: int) -> ProductIndex:
        index = ProductIndex(storage.join(self._folder, str(number)), version=number)
        self._report(f'index version {number} opened: {len(index):,} products')
        return index


def versions(folder: str) -> list[int]:
    """Returns the numbers of the versions in a local folder, ascending."""
    names = [name for name in storage.list_names(folder) if name.isdecimal() and name.isascii()]
    described = [
        name
        for name in names
        if name == str(int(name)) and os.path.exists(f'{folder}/{name}/{index_info.FILE_NAME}')
    ]
    return sorted(map(int, described))


def newest_version(folder: str) -> int | None:
    """Returns the number of the newest version; None without one."""
    return max(versions(folder), default=None)


def _fingerprint(folder: str) -> Fingerprint:
    paths = [storage.join(folder, name) for name in storage.list_names(folder)]
    found = [(path, os.stat(path)) for path in paths if os.path.exists(path)]
    return [(path, status.st_size, status.st_mtime_ns) for path, status in found]
