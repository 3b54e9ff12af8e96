"""Which version of the model is loaded, what became of the others, and who still uses one.

The highest numeric folder under the base path is served. A new one is loaded and warmed up beside
the old one, then takes its place for the requests that come; the old one is freed when its last
request is done. A version that fails is reported and the old one stays; it is tried again when its
folder changes. Knows no HTTP and no gRPC.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import tensorflow as tf

from catalog.errors import UserError
from serving import warmup
from serving.saved_model import SavedModel, request_error
from serving.status import Code, RequestError, invalid

Fingerprint = list[tuple[str, int, int]]  # (file, bytes, time changed) of a version folder
State = Literal['LOADING', 'AVAILABLE', 'UNLOADING', 'END']


@dataclass(frozen=True)
class ModelSpec:
    """Which model a request asks for; no version and no label means the one that is served."""

    name: str
    version: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class VersionStatus:
    """How a version is; `code` and `message` say why one has failed."""

    version: int
    state: State
    code: Code = Code.OK
    message: str = ''


@dataclass
class Loaded:
    """A version in memory, with the number of requests that use it now."""

    version: int
    model: SavedModel
    uses: int = 0


class ModelVersions:
    """The versions of one model. All methods may be called from any thread, `poll` from one."""

    def __init__(self, name: str, base_path: str, *, report: Callable[[str], None]) -> None:
        """Loads nothing yet; `report` takes one line for the operator."""
        self._name = name
        self._base_path = base_path.rstrip('/')
        self._report = report
        self._lock = threading.Lock()
        self._served: Loaded | None = None
        self._statuses: dict[int, VersionStatus] = {}
        self._failed: dict[int, Fingerprint] = {}  # version -> its folder as it was

    def load_first(self) -> int:
        """Loads the newest version, before anything is served.

        Raises:
          UserError: if the folder cannot be listed, holds no version, or if the newest one does not
            load.
        """
        try:
            self.poll()
        except tf.errors.OpError as error:
            raise UserError(f'{self._base_path}: must be a folder: {error.message}') from error
        if self._served:
            return self._served.version
        for status in self._statuses.values():
            raise UserError(
                f'{self._base_path}/{status.version}: must be a model that loads, '
                f'got {status.code.name}: {status.message}'
            )
        raise UserError(f'{self._base_path}: must hold a version folder like 1, got none')

    def poll(self) -> None:
        """Looks once for another newest version, and loads it."""
        folders = _folders(self._base_path)
        version = max(folders, default=None)
        if version is None or (self._served and self._served.version == version):
            return
        path = folders[version]
        fingerprint = _fingerprint(path)  # before loading: a copy under way changes it
        if self._failed.get(version) != fingerprint:
            self._load(version, path, fingerprint=fingerprint)

    def watch(self, every_seconds: float, *, until: threading.Event) -> None:
        """Polls until the event is set."""
        while not until.wait(every_seconds):
            try:
                self.poll()
            except tf.errors.OpError as error:  # the folder is away: what is loaded stays
                self._report(f'cannot look for versions: {error.message}')

    @contextlib.contextmanager
    def use(self, spec: ModelSpec) -> Iterator[Loaded]:
        """The version that a request asks for; it stays in memory until the block ends.

        Raises:
          RequestError: NOT_FOUND if it is not loaded, INVALID_ARGUMENT for an unknown label.
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
        """The versions that were ever seen, or the one asked for. A label is not looked at.

        Raises:
          RequestError: NOT_FOUND for another model or version.
        """
        with self._lock:
            known = self._statuses if spec.name == self._name else {}
            if spec.version is None and known:
                return [known[version] for version in sorted(known)]
            if spec.version in known:
                return [known[spec.version]]
        what = 'any versions' if spec.version is None else f'version {spec.version}'
        raise RequestError(Code.NOT_FOUND, f'Could not find {what} of model {spec.name}')

    def _find(self, spec: ModelSpec) -> Loaded:
        if spec.label is not None:
            raise invalid(f'Unrecognized servable version label: {spec.label}')
        served = self._served
        if served and spec.name == self._name and spec.version in (None, served.version):
            return served
        wanted = 'Latest({0.name})' if spec.version is None else 'Specific({0.name}, {0.version})'
        raise RequestError(Code.NOT_FOUND, f'Servable not found for request: {wanted.format(spec)}')

    def _load(self, version: int, path: str, *, fingerprint: Fingerprint) -> None:
        self._set(VersionStatus(version, 'LOADING'))
        start = time.monotonic()
        try:
            model = SavedModel(path)
            try:
                warmed = warmup.replay(model, path)
            except BaseException:
                model.close()
                raise
        except Exception as error:  # whatever is wrong with a new version, the old one must stay
            failure = _as_request_error(error)
            self._failed[version] = fingerprint
            self._set(VersionStatus(version, 'END', failure.code, failure.message))
            self._report(f'version {version} does not load: {failure.message}')
            return
        self._serve(Loaded(version, model))
        seconds = time.monotonic() - start
        self._report(f'version {version} serves: loaded in {seconds:.1f} s, warm-ups: {warmed}')

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
            self._statuses[loaded.version] = VersionStatus(loaded.version, 'END')

    def _set(self, status: VersionStatus) -> None:
        with self._lock:
            self._statuses[status.version] = status


def _folders(base_path: str) -> dict[int, str]:
    names = [name.rstrip('/') for name in tf.io.gfile.listdir(base_path)]
    return {int(n): f'{base_path}/{n}' for n in names if n.isascii() and n.isdigit()}


def _fingerprint(folder: str) -> Fingerprint:
    files = [f'{at}/{name}' for at, _, names in tf.io.gfile.walk(folder) for name in names]
    stats = [(file, tf.io.gfile.stat(file)) for file in sorted(files)]
    return [(file, stat.length, stat.mtime_nsec) for file, stat in stats]


def _as_request_error(error: Exception) -> RequestError:
    match error:
        case RequestError():
            return error
        case tf.errors.OpError():
            return request_error(error)
        case FileNotFoundError():
            return RequestError(Code.NOT_FOUND, str(error))
        case _:
            return RequestError(Code.UNKNOWN, f'{type(error).__name__}: {error}')
