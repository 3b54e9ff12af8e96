"""The models to serve: the ModelServerConfig of `--model_config_file`, or one model's flags."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tensorflow_serving.config import model_server_config_pb2

from catalog import storage
from catalog.errors import UserError
from serving.config import text_file
from serving.config.policies import All, Latest, Policy, Specific

PLATFORM = 'tensorflow'


@dataclass(frozen=True)
class ModelConfig:
    """One model.

    Attributes:
      name: Its name in requests.
      base_path: Folder that contains the version folders 1, 2, ...; local or remote.
      policy: Which versions are served.
      labels: Version numbers by label.
    """

    name: str
    base_path: str
    policy: Policy = field(default_factory=Latest)
    labels: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name:
            raise UserError('a model must have a name, got none')
        path = self.base_path
        if not storage.is_remote(path) and not os.path.isdir(path):
            raise UserError(f'model {self.name}: base_path must be a folder, got {path!r}')


def read(path: str) -> list[ModelConfig]:
    """Reads a ModelServerConfig file.

    Raises:
      UserError: If the file, or a model in it, is invalid.
    """
    message = text_file.read(path, model_server_config_pb2.ModelServerConfig())
    try:
        return parse(message)
    except UserError as error:
        raise UserError(f'{path}: {error}') from error


def parse(message: Any) -> list[ModelConfig]:
    """Returns the models of a ModelServerConfig message.

    Raises:
      UserError: If a model is invalid, or if the message has what this server does not offer.
    """
    text_file.refuse('ModelServerConfig', message, 'custom_model_config')
    models = [_parse_model(model) for model in message.model_config_list.config]
    if not models:
        raise UserError('model_config_list must have at least one config, got none')
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f'Illegal to list model {name} multiple times in config list')
    return models


def _parse_model(message: Any) -> ModelConfig:
    where = f'model {message.name}'
    text_file.refuse(where, message, 'logging_config')
    _check_platform(message, where=where)
    if not message.base_path.startswith('gs://') and not os.path.isabs(message.base_path):
        raise UserError(
            f'{where}: base_path must be an absolute path or begin with gs://, '
            f'got {message.base_path!r}'
        )
    return ModelConfig(
        name=message.name,
        base_path=message.base_path,
        policy=_parse_policy(message.model_version_policy, where=where),
        labels=dict(message.version_labels),
    )


def _check_platform(message: Any, *, where: str) -> None:
    types = model_server_config_pb2.ModelType
    if message.model_type and message.model_platform:
        raise UserError(f'{where}: must have only one of model_type (deprecated), model_platform')
    platform = message.model_platform or (
        types.Name(message.model_type).lower() if message.model_type else ''
    )
    if platform != PLATFORM:
        raise UserError(f"{where}: model_platform must be '{PLATFORM}', got {platform!r}")


def _parse_policy(message: Any, *, where: str) -> Policy:
    match message.WhichOneof('policy_choice'):
        case 'all':
            return All()
        case 'specific':
            if not message.specific.versions:
                raise UserError(f'{where}: specific must have at least one of versions, got none')
            return Specific(frozenset(message.specific.versions))
        case _:
            return Latest(max(1, message.latest.num_versions))  # 0 is 1 to TensorFlow Serving too
