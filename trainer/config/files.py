"""Configs in files: `get_config()` of a config file, `config.json` of a workdir, and overrides.

A config file defines `get_config() -> TrainConfig`.

Files of values: Python that is run for what one function of it gives.
"""

import importlib.util
import json
from collections.abc import Sequence
from typing import Any

import pydantic

from catalog.errors import UserError
from trainer.config import TrainConfig
from trainer.config import overrides as overriding


def value_of(path: str, function: str, *, flag: str, like: str) -> Any:
    """What `function` of a file gives; whatever the file itself raises is passed on.

    Args:
      path: of the file.
      function: its name.
      flag: that named the file.
      like: an example of such a file.

    Raises:
      UserError: if there is no such file, or no such function in it.
    """
    spec = importlib.util.spec_from_file_location('_values', path)
    if not path.endswith('.py') or spec is None or spec.loader is None:
        raise UserError(f'{flag} must be a Python file like {like}, got {path!r}')
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except FileNotFoundError as error:
        raise UserError(f'{flag} must be a file, there is no {path}') from error
    if not hasattr(module, function):
        raise UserError(f'{path}: the file must define {function}(), this one does not')
    return getattr(module, function)()


_ADAPTER = pydantic.TypeAdapter(TrainConfig)


def load(path: str, overrides: Sequence[str] = ()) -> TrainConfig:
    """The config of a file, with `a.b=value` overrides.

    Raises:
      UserError: naming the field and what is valid, at the first field that is unknown, of the
        wrong type or impossible.
    """
    config = _run(path)
    if not overrides:
        return config
    document = overriding.apply(to_document(config), overrides)
    return validated(document, where='--config')


def _run(path: str) -> TrainConfig:
    try:
        config = value_of(path, 'get_config', flag='--config', like='configs/tiny.py')
    except pydantic.ValidationError as error:
        raise UserError(f'{path}: {overriding.explain(error, TrainConfig)}') from error
    if not isinstance(config, TrainConfig):
        raise UserError(
            f'{path}: get_config() must give a TrainConfig, got {type(config).__name__}'
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
        raise UserError(f'{where}: {overriding.explain(error, TrainConfig)}') from error


def to_json(config: TrainConfig) -> str:
    """A config as indented JSON, every field in it."""
    return json.dumps(to_document(config), indent=2) + '\n'


def flat(config: TrainConfig) -> dict[str, Any]:
    """Every value by its name, `optimizer.learning_rate` and the like."""
    return overriding.flatten(to_document(config))
