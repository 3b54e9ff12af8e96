"""The versions of the model: which one is served, and the state of each.

The highest numeric folder in the base path is served. A new version is loaded and warmed up beside
the old one, then receives all new requests; the old one is freed when its last request completes.
If a version fails to load, the failure is reported and the old version stays; loading is retried
when the folder changes. Knows no HTTP and no gRPC.
"""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import tensorflow as tf

from catalog.errors import UserError
from serving.protocol.status import Code, RequestError, invalid_argument
from serving.runtimes import warmup
from serving.runtimes.saved_model import SavedModel, to_request_error

Fingerprint = list[tuple[str, int, int]]  # (file, size in bytes, mtime in ns) of a version folder
State = Literal['LOADING', 'AVAILABLE', 'UNLOADING', 'END']

MAX_VERSION = (1 << 63) - 1  # ModelSpec.version is an int64

_VERSION = re.compile('[0-9]+')


@dataclass(frozen=True)
class ModelSpec:
    """The model of a request; without version and label, it is the served version."""

    name: str
    version: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class VersionStatus:
    """The state of a version; `code` and `message` describe a failure."""

    version: int
    state: State
    code: Code = Code.OK
    message: str = ''


@dataclass
class Loaded:
    """A version in memory, with the number of requests that are using it."""

    version: int
    model: SavedModel
    uses: int = 0


class ModelVersions:
    """The versions of one model. Thread-safe, but only one thread may call `poll` and `watch`."""

    def __init__(self, name: str, base_path: str, *, report: Callable[[str], None]) -> None:
        """Loads no version yet. `report` receives one line for each version that loads or fails."""
        self._name = name
        self._base_path = base_path.rstrip('/')
        self._report = report
        self._lock = threading.Lock()
        self._served: Loaded | None = None
        self._statuses: dict[int, VersionStatus] = {}
        self._failed: dict[int, Fingerprint] = {}  # version -> its folder at the failure
        self._skipped: set[str] = set()  # names of folders that were reported

    def load_first(self) -> int:
        """Loads the newest version and returns its number.

        Raises:
          UserError: If the folder cannot be listed or contains no version, or if the newest
            version does not load.
        """
        try:
            self.poll()
        except tf.errors.OpError as error:
            raise UserError(f'{self._base_path}: must be a folder: {error.message}') from error
        if self._served:
            return self._served.version
        for status in self._statuses.values():
            raise UserError(
                f'{self._base_path}/{status.version}: must be a loadable model, '
                f'got {status.code.name}: {status.message}'
            )
        raise UserError(f'{self._base_path}: must contain a version folder such as 1, got none')

    def poll(self) -> None:
        """Loads the newest version if it is not the served one."""
        folders = self._folders()
        version = max(folders, default=None)
        if version is None or (self._served and self._served.version == version):
            return
        path = folders[version]
        fingerprint = _fingerprint(path)  # before loading, so that a copy in progress changes it
        if self._failed.get(version) != fingerprint:
            self._load(version, path, fingerprint=fingerprint)

    def watch(self, every_seconds: float, *, until: threading.Event) -> None:
        """Polls until the event is set."""
        while not until.wait(every_seconds):
            try:
                self.poll()
            except tf.errors.OpError as error:  # the folder is unavailable: keep the loaded version
                self._report(f'cannot list the version folders: {error.message}')

    @contextlib.contextmanager
    def use(self, spec: ModelSpec) -> Iterator[Loaded]:
        """Yields the requested version and keeps it in memory until the block ends.

        Raises:
          RequestError: NOT_FOUND if the version is not loaded, INVALID_ARGUMENT for an unknown
            label.
        """
        with self._lock:
            loaded = self._find(spec)
            loaded.uses += 1
        try:
            yield loaded
        finally:
            with self._lock:
                loaded.uses -= 1
                self._free_if_unused(loaded)

    def statuses(self, spec: ModelSpec) -> list[VersionStatus]:
        """Returns the status of every known version, or of the requested one. Ignores the label.

        Raises:
          RequestError: NOT_FOUND for an unknown model or version.
        """
        with self._lock:
            known = self._statuses if spec.name == self._name else {}
            if spec.version is None and known:
                return [known[version] for version in sorted(known)]
            if spec.version in known:
                return [known[spec.version]]
        missing = 'any versions' if spec.version is None else f'version {spec.version}'
        raise RequestError(Code.NOT_FOUND, f'Could not find {missing} of model {spec.name}')

    def _find(self, spec: ModelSpec) -> Loaded:
        if spec.label is not None:
            raise invalid_argument(f'Unrecognized servable version label: {spec.label}')
        served = self._served
        if served and spec.name == self._name and spec.version in (None, served.version):
            return served
        latest = spec.version is None
        servable = f'Latest({spec.name})' if latest else f'Specific({spec.name}, {spec.version})'
        raise RequestError(Code.NOT_FOUND, f'Servable not found for request: {servable}')

    def _load(self, version: int, path: str, *, fingerprint: Fingerprint) -> None:
        self._set(VersionStatus(version, 'LOADING'))
        start = time.monotonic()
        try:
            model = SavedModel(path)
            try:
                warmup_count = warmup.replay(model, path)
            except BaseException:
                model.close()
                raise
        except Exception as error:  # a faulty new version must not stop the old one
            failure = _to_request_error(error)
            self._failed[version] = fingerprint
            self._set(VersionStatus(version, 'END', failure.code, failure.message))
            self._report(f'version {version} failed to load: {failure.message}')
            return
        self._serve(Loaded(version, model))
        seconds = time.monotonic() - start
        self._report(
            f'version {version} loaded in {seconds:.1f} s with {warmup_count} warm-up requests'
        )

    def _serve(self, loaded: Loaded) -> None:
        with self._lock:
            old, self._served = self._served, loaded
            self._failed.pop(loaded.version, None)
            self._statuses[loaded.version] = VersionStatus(loaded.version, 'AVAILABLE')
            if old:
                self._statuses[old.version] = VersionStatus(old.version, 'UNLOADING')
                self._free_if_unused(old)

    def _free_if_unused(self, loaded: Loaded) -> None:
        if loaded is not self._served and not loaded.uses:
            loaded.model.close()
            if not self._served or loaded.version != self._served.version:  # loaded again since
                self._statuses[loaded.version] = VersionStatus(loaded.version, 'END')

    def _folders(self) -> dict[int, str]:
        names = [name.rstrip('/') for name in tf.io.gfile.listdir(self._base_path)]
        versions = {int(name): name for name in names if _is_version(name)}
        too_large = {name for name in names if _VERSION.fullmatch(name) and not _is_version(name)}
        for name in sorted(too_large - self._skipped):
            self._report(
                f'skipped {self._base_path}/{name}: a version must be at most {MAX_VERSION}'
            )
        self._skipped |= too_large
        return {version: f'{self._base_path}/{name}' for version, name in versions.items()}

    def _set(self, status: VersionStatus) -> None:
        with self._lock:
            self._statuses[status.version] = status


def _is_version(name: str) -> bool:
    # The length first: Python refuses to convert thousands of digits.
    digits = name.lstrip('0')
    return bool(_VERSION.fullmatch(name)) and len(digits) < 20 and int(name) <= MAX_VERSION


def _fingerprint(folder: str) -> Fingerprint:
    files = [f'{parent}/{name}' for parent, _, names in tf.io.gfile.walk(folder) for name in names]
    stats = [(file, tf.io.gfile.stat(file)) for file in sorted(files)]
    return [(file, stat.length, stat.mtime_nsec) for file, stat in stats]


def _to_request_error(error: Exception) -> RequestError:
    match error:
        case RequestError():
            return error
        case tf.errors.OpError():
            return to_request_error(error)
        case FileNotFoundError():
            return RequestError(Code.NOT_FOUND, str(error))
        case _:
            return RequestError(Code.UNKNOWN, f'{type(error).__name__}: {error}')
