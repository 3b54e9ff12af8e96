"""All models of a server: found by name, version or label; changed while requests run.

If a label or a new model is invalid, the error names it and the server keeps the config it had.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import tensorflow as tf

from catalog.errors import UserError
from serving.config.models import ModelConfig
from serving.models import roots
from serving.models.loading import Loader
from serving.models.spec import ModelSpec, VersionStatus
from serving.models.versions import Loaded, ModelVersions
from serving.monitoring.server_metrics import ServerMetrics
from serving.protocol.status import Code, RequestError, invalid_argument

Labels = Mapping[tuple[str, str], int]  # (model, label) -> version


class Models:
    """The models by name. Thread-safe."""

    def __init__(
        self,
        *,
        loader: Loader,
        report: Callable[[str], None],
        labels_for_unavailable: bool = False,
    ) -> None:
        """Loads no model yet.

        Args:
          loader: Loads versions.
          report: Receives one line for each version that loads, fails or is unloaded.
          labels_for_unavailable: Whether a new label may name a version that is not loaded.
        """
        self._loader = loader
        self._report = report
        self._labels_for_unavailable = labels_for_unavailable
        self._changing = threading.RLock()  # held while versions are loaded and unloaded
        self._models: dict[str, ModelVersions] = {}
        self._configured: frozenset[str] = frozenset()
        self._labels: Labels = {}
        self._roots: set[str] = set()

    @property
    def metrics(self) -> ServerMetrics:
        """Where requests are measured."""
        return self._loader.metrics

    @property
    def available(self) -> dict[str, list[int]]:
        """The loaded versions of each model, the highest first."""
        return {name: self._models[name].available for name in sorted(self._configured)}

    def reload(self, configs: Sequence[ModelConfig]) -> None:
        """Serves these models, named by a client: see `configure`, and `roots`.

        Raises:
          RequestError: PERMISSION_DENIED for a folder elsewhere.
          UserError: As `configure`.
        """
        for config in configs:
            if not roots.is_within(config.base_path, self._roots):
                raise RequestError(
                    Code.PERMISSION_DENIED,
                    f'model {config.name}: base_path must be in {", ".join(sorted(self._roots))}, '
                    f'got {config.base_path}; the operator may name other folders in '
                    '--model_config_file',
                )
        self.configure(configs)

    def configure(self, configs: Sequence[ModelConfig]) -> None:
        """Serves these models, each with a loaded version, and unloads all others.

        Raises:
          UserError: If a label names a version that is not loaded, or a model has no version that
            loads. Then labels and models are as before.
        """
        with self._changing:
            labels = self._checked_labels(configs)
            added = [config for config in configs if config.name not in self._configured]
            self._add(added)
            for config in configs:
                if config not in added:
                    self._models[config.name].configure(config)
            names = frozenset(config.name for config in configs)
            self._labels = labels
            self._roots |= {roots.root(config.base_path) for config in configs}
            removed, self._configured = self._configured - names, names
            for name in removed:
                self._models[name].unload()

    def poll(self) -> None:
        """Loads and unloads what the version policies say of the folders as they are now."""
        with self._changing:
            for name in sorted(self._configured):
                try:
                    self._models[name].poll()
                except tf.errors.OpError as error:  # unavailable: keep the loaded versions
                    self._report(f'model {name}: cannot list its folder: {error.message}')

    def watch(self, every_seconds: float, *, until: threading.Event) -> None:
        """Polls until the event is set."""
        while not until.wait(every_seconds):
            self.poll()

    def close(self) -> None:
        """Unloads all models."""
        with self._changing:
            for model in self._models.values():
                model.unload()

    @contextlib.contextmanager
    def use(self, spec: ModelSpec) -> Iterator[Loaded]:
        """Yields the requested version and keeps it in memory until the block ends.

        Raises:
          RequestError: NOT_FOUND if the version is not loaded, INVALID_ARGUMENT for an unknown
            label.
        """
        version = spec.version
        if spec.label is not None:
            version = self._labels.get((spec.name, spec.label))
            if version is None:
                raise invalid_argument(f'Unrecognized servable version label: {spec.label}')
        with contextlib.ExitStack() as stack:
            try:
                loaded = stack.enter_context(self._models[spec.name].use(version))
            except KeyError as error:
                wanted = f'Latest({spec.name})'
                if version is not None:
                    wanted = f'Specific({spec.name}, {version})'
                raise RequestError(
                    Code.NOT_FOUND, f'Servable not found for request: {wanted}'
                ) from error
            yield loaded

    def statuses(self, spec: ModelSpec) -> list[VersionStatus]:
        """Returns the status of every known version, or of the requested one. Ignores the label.

        Raises:
          RequestError: NOT_FOUND for an unknown model or version.
        """
        model = self._models.get(spec.name)
        known = model.statuses() if model else []
        if spec.version is not None:
            known = [status for status in known if status.version == spec.version]
        if known:
            return known
        missing = 'any versions' if spec.version is None else f'version {spec.version}'
        raise RequestError(Code.NOT_FOUND, f'Could not find {missing} of model {spec.name}')

    def _add(self, configs: Sequence[ModelConfig]) -> None:
        added: list[ModelVersions] = []
        try:
            for config in configs:
                model = self._models.get(config.name) or ModelVersions(
                    config, loader=self._loader, report=self._report
                )
                added.append(model)
                model.configure(config)
                self._models[config.name] = model
        except BaseException:
            for model in added:
                model.unload()
            raise

    def _checked_labels(self, configs: Sequence[ModelConfig]) -> Labels:
        labels = {}
        for config in configs:
            for label, version in config.labels.items():
                key = config.name, label
                if not self._may_label(key, version):
                    raise UserError(
                        f'Request to assign label {label} to version {version} of model '
                        f'{config.name}, which is not currently available for inference; load it '
                        'first, or give --allow_version_labels_for_unavailable_models for a label '
                        'that is new'
                    )
                labels[key] = version
        return labels

    def _may_label(self, key: tuple[str, str], version: int) -> bool:
        name, _ = key
        if name in self._configured and version in self._models[name].available:
            return True
        return self._labels_for_unavailable and self._labels.get(key, version) == version
