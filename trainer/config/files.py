"""Config files, overrides, and configs as JSON.

A config file is Python and defines `get_config() -> TrainConfig`.
"""

import dataclasses
import importlib.util
import json
from collections.abc import Sequence
from typing import Any

import pydantic

from catalog.errors import UserError
from trainer.config import TrainConfig
from trainer.config.overrides import apply_overrides, explain, flatten

# A run may resume with other values of these. (A cosine schedule follows the new total; no picture
# depends on the devices.)
_MUTABLE_FIELDS = frozenset(
    {
        'total_steps',
        'log_every_steps',
        'checkpoint_every_steps',
        'keep_checkpoints',
        'strategy',
        'device',
        'num_devices',
        'input.decoder',  # both give the same pixels
        'input.max_undecodable',
    }
)
_ADAPTER = pydantic.TypeAdapter(TrainConfig)


def call_in_file(path: str, function: str, *, flag: str, example: str) -> Any:
    """Runs a Python file and returns what one of its functions returns.

    Exceptions of the file itself are passed on.

    Args:
      path: Path of the file.
      function: Name of the function.
      flag: The flag that named the file.
      example: An example of such a file.

    Raises:
      UserError: If there is no such file, or no such function in it.
    """
    spec = importlib.util.spec_from_file_location('_values', path)
    if not path.endswith('.py') or spec is None or spec.loader is None:
        raise UserError(f'{flag} must be a Python file like {example}, got {path!r}')
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except FileNotFoundError as error:
        raise UserError(f'{flag} must be a file, there is no {path}') from error
    if not hasattr(module, function):
        raise UserError(f'{path}: must define {function}(), it does not')
    return getattr(module, function)()


def load(path: str, overrides: Sequence[str] = ()) -> TrainConfig:
    """Loads the config of a file and applies overrides `a.b=value`.

    Raises:
      UserError: Naming the first field that is unknown, of the wrong type or out of range, and what
        is valid.
    """
    config = _run(path)
    if not overrides:
        return config
    document = apply_overrides(to_document(config), overrides, TrainConfig)
    return validated(document, where='--config')


def _run(path: str) -> TrainConfig:
    try:
        config = call_in_file(path, 'get_config', flag='--config', example='configs/tiny.py')
    except pydantic.ValidationError as error:
        raise UserError(f'{path}: {explain(error, TrainConfig)}') from error
    if not isinstance(config, TrainConfig):
        raise UserError(
            f'{path}: get_config() must return a TrainConfig, got {type(config).__name__}'
        )
    return config


def to_document(config: TrainConfig) -> dict[str, Any]:
    """Returns a config as a JSON document."""
    document: dict[str, Any] = _ADAPTER.dump_python(config, mode='json')
    return document


def validated(document: dict[str, Any], *, where: str) -> TrainConfig:
    """Returns the config of a JSON document.

    Raises:
      UserError: naming the first field that is unknown, of the wrong type or out of range.
    """
    try:
        return _ADAPTER.validate_json(json.dumps(document))
    except pydantic.ValidationError as error:
        raise UserError(f'{where}: {explain(error, TrainConfig)}') from error


def to_json(config: TrainConfig) -> str:
    """Returns a config as indented JSON with every field."""
    return json.dumps(to_document(config), indent=2) + '\n'


def flat(config: TrainConfig) -> dict[str, Any]:
    """Returns every value by its full name, such as `optimizer.learning_rate`."""
    return flatten(to_document(config))


def identity(config: TrainConfig) -> dict[str, Any]:
    """Returns the values, by full name, that must not change when a run resumes.

    Values that are derived if they are not given are resolved, as earlier versions wrote them.
    """
    resolved = dataclasses.replace(config, optimizer=config.optimizer.resolved())
    return {
        name: value
        for name, value in flat(resolved).items()
        if name not in _MUTABLE_FIELDS and not name.startswith('board.')
    }
