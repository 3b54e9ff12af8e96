"""The versions of one model: which are in memory, and the state of each.

The version policy selects folders. A selected version is loaded and warmed up beside the old ones;
once one of the selected versions is loaded, the others get no new requests and are freed when their
last request completes. If a version fails to load, the failure is reported and the old versions
stay; loading is retried when the folder changes.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import tensorflow as tf

from catalog.errors import UserError
from catalog.model_versions.names import MAX_VERSION
from serving.config import policies
from serving.config.models import ModelConfig
from serving.models import folders
from serving.models.loading import LoadedModel, Loader
from serving.models.spec import VersionStatus
from serving.protocol.status import Code, RequestError
from serving.runtimes.model import Model


@dataclass
class Loaded:
    """A version in memory, with the number of requests that are using it."""

    version: int
    model: Model
    uses: int = 0


class ModelVersions:
    """Thread-safe, except that only one thread at a time may change what is loaded."""

    def __init__(
        self, config: ModelConfig, *, loader: Loader, report: Callable[[str], None]
    ) -> None:
        """Loads no version yet. `report` receives one line for each version that loads or fails."""
        self._config = config
        self._loader = loader
        self._report = report
        self._lock = threading.Lock()
        self._available: dict[int, Loaded] = {}
        self._statuses: dict[int, VersionStatus] = {}
        self._failed: dict[int, folders.Fingerprint] = {}  # version -> its folder at the failure
        self._reported: set[str] = set()

    @property
    def available(self) -> list[int]:
        """The versions that take new requests, the highest first."""
        with self._lock:
            return sorted(self._available, reverse=True)

    def configure(self, config: ModelConfig) -> None:
        """Changes the config, loads what it selects and unloads the other versions.

        Raises:
          UserError: If the folder cannot be listed, or if no selected version is loaded. Then the
            model keeps its config.
        """
        old, self._config = self._config, config
        try:
            self._follow(config)
        except BaseException:
            self._config = old
            raise

    def _follow(self, config: ModelConfig) -> None:
        try:
            self.poll()
        except tf.errors.OpError as error:
            raise UserError(f'{self._base_path}: must be a folder: {error.message}') from error
        selected = policies.select(config.policy, folders.find(self._base_path).versions)
        if set(selected) & set(self.available):
            return
        for version in selected:
            status = self._statuses[version]
            raise UserError(
                f'{self._base_path}/{version}: must be a loadable model, '
                f'got {status.code.name}: {status.message}'
            )
        wanted = ''
        if isinstance(config.policy, policies.Specific):
            wanted = f', one of {", ".join(map(str, sorted(config.policy.versions)))}'
        raise UserError(
            f'{self._base_path}: must contain a version folder such as 1{wanted}, got none'
        )

    def poll(self) -> None:
        """Loads and unloads what the version policy says of the folders as they are now.

        Raises:
          tf.errors.OpError: If the folder cannot be listed.
        """
        found = folders.find(self._base_path)
        for path in sorted(found.too_large):
            self._report_once(f'skipped {path}: a version must be at most {MAX_VERSION}')
        selected = policies.select(self._config.policy, found.versions)
        for version in selected:
            if version not in self._available:
                self._load(version, found.versions[version])
        if any(version in self._available for version in selected):
            self._retire(set(self._available) - set(selected))

    def unload(self) -> None:
        """Gives no version new requests; each is freed when its last request completes."""
        self._retire(set(self._available))

    @contextlib.contextmanager
    def use(self, version: int | None) -> Iterator[Loaded]:
        """Yields a version, by default the highest, and keeps it in memory until the block ends.

        Raises:
          KeyError: If the version is not available.
        """
        with self._lock:
            if version is None:
                version = max(self._available, default=-1)
            loaded = self._available[version]
            loaded.uses += 1
        try:
            yield loaded
        finally:
            with self._lock:
                loaded.uses -= 1
                unused = not loaded.uses and self._available.get(loaded.version) is not loaded
            if unused:
                self._free(loaded)

    def statuses(self) -> list[VersionStatus]:
        """Returns the status of every known version."""
        with self._lock:
            return [self._statuses[version] for version in sorted(self._statuses)]

    @property
    def _base_path(self) -> str:
        return self._config.base_path.rstrip('/')

    def _load(self, version: int, path: str) -> None:
        fingerprint = folders.fingerprint(path)  # before loading, so that a copy changes it
        if self._failed.get(version) == fingerprint:
            return
        self._set(VersionStatus(version, 'LOADING'))
        where = f'model {self._config.name} version {version}'
        try:
            loaded = self._loader.load(path, model_name=self._config.name)
            _check_unchanged(path, fingerprint, loaded)
        except RequestError as failure:
            self._failed[version] = fingerprint
            self._set(VersionStatus(version, 'END', failure.code, failure.message))
            self._report(f'{where} failed to load: {failure.message}')
            return
        self._failed.pop(version, None)
        with self._lock:
            self._available[version] = Loaded(version, loaded.model)
            self._statuses[version] = VersionStatus(version, 'AVAILABLE')
        self._report(f'{where} {loaded.description}')

    def _retire(self, versions: set[int]) -> None:
        for version in sorted(versions):
            with self._lock:
                loaded = self._available.pop(version)
                self._statuses[version] = VersionStatus(version, 'UNLOADING')
                unused = not loaded.uses
            if unused:
                self._free(loaded)

    def _free(self, loaded: Loaded) -> None:
        loaded.model.close()
        with self._lock:
            if loaded.version not in self._available:  # loaded again since
                self._statuses[loaded.version] = VersionStatus(loaded.version, 'END')
        self._report(f'model {self._config.name} version {loaded.version} unloaded')

    def _set(self, status: VersionStatus) -> None:
        with self._lock:
            self._statuses[status.version] = status

    def _report_once(self, line: str) -> None:
        if line not in self._reported:
            self._reported.add(line)
            self._report(line)


def _check_unchanged(path: str, fingerprint: folders.Fingerprint, loaded: LoadedModel) -> None:
    """Closes a model and raises a RequestError if its folder changed while it was loaded."""
    if folders.fingerprint(path) != fingerprint:
        loaded.model.close()
        raise RequestError(
            Code.FAILED_PRECONDITION,
            f'{path}: must not change while it is loaded; is it being copied? Copy it under '
            'another name and rename it',
        )
