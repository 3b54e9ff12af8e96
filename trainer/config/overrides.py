"""Overrides `a.b=value` of config fields, and pydantic's errors in one line.

A value is parsed as JSON if possible (`0.1`, `true`, `null`, `[1, 2]`), otherwise it is a string;
`None`, `True` and `False` are accepted too. The value of a field of strings is always a string or
None, so that a path may be `2024`.
"""

import copy
import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pydantic

from catalog import command_line
from catalog.errors import UserError, suggestion

_PYTHON_WORDS = {'None': None, 'True': True, 'False': False}


def parse_flags(argv: Sequence[str]) -> list[str]:
    """Parses the flags of a command line with overrides `--config.a.b=value`.

    An argument that is neither ends the program.

    Returns:
      The program name, then the overrides as `a.b=value`.
    """
    given, others = split_arguments(argv, prefix='config.')
    program, *strays = command_line.parse_flags(others)
    if strays:
        command_line.exit_with_error(f'arguments are flags like --name=value, got {strays[0]!r}')
    return [program, *given]


def split_arguments(argv: Sequence[str], *, prefix: str) -> tuple[list[str], list[str]]:
    """Returns the arguments that begin with `--prefix`, without it, and all the others."""
    overrides, others = [], []
    for argument in argv:
        name = argument.removeprefix('-').removeprefix('-')
        if not (argument.startswith('-') and name.startswith(prefix)):
            others.append(argument)
        else:
            overrides.append(name.removeprefix(prefix))
    return overrides, others


def apply_overrides(
    document: Mapping[str, Any], overrides: Sequence[str], config_class: type
) -> dict[str, Any]:
    """Returns a copy of a document with the overrides `a.b=value` applied in order.

    Args:
      document: The JSON document of a config.
      overrides: The overrides.
      config_class: Dataclass of the config.

    Raises:
      UserError: If a field is unknown, listing the known ones, or names a group of fields.
    """
    result = copy.deepcopy(dict(document))
    for override in overrides:
        name, given, text = override.partition('=')
        if not given:
            raise UserError(f'--config.{name} must have a value: --config.{name}=VALUE')
        *groups, last = name.split('.')
        node: Any = result
        owner: Any = config_class
        for depth, group in enumerate(groups):
            _check_field(node, group, within='.'.join(groups[:depth]))
            node = node[group]
            owner = get_type_hints(owner)[group]
        _check_field(node, last, within='.'.join(groups))
        if isinstance(node[last], dict):
            raise UserError(
                f'--config.{name} is a group of fields; set one of '
                + ', '.join(f'{name}.{field}' for field in node[last])
            )
        node[last] = _parse(text, get_type_hints(owner)[last])
    return result


def _check_field(node: Any, name: str, *, within: str) -> None:
    where = f'--config.{within}' if within else '--config'
    if not isinstance(node, dict):
        raise UserError(f'{where} is a value and has no field {name!r}')
    if name not in node:
        near = suggestion(name, node)
        raise UserError(f'{where} has no field {name!r}; it has {", ".join(node)}{near}')


def _parse(text: str, hint: Any) -> Any:
    """Returns the value that `text` stands for in a field of type `hint`."""
    try:
        value = _PYTHON_WORDS[text] if text in _PYTHON_WORDS else json.loads(text)
    except ValueError:
        return text
    if value is not None and not isinstance(value, str) and _is_text(hint):
        return text
    return value


def _is_text(hint: Any) -> bool:
    """Returns whether a field of this type holds a string, or a string or None."""
    if get_origin(hint) is Literal:
        return all(isinstance(choice, str) for choice in get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return all(part is NoneType or _is_text(part) for part in get_args(hint))
    return hint is str


def flatten(document: Mapping[str, Any]) -> dict[str, Any]:
    """Flattens a document: `{'a': {'b': 1}}` -> `{'a.b': 1}`."""
    flat = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            flat.update({f'{name}.{inner}': v for inner, v in flatten(value).items()})
        else:
            flat[name] = value
    return flat


def explain(error: pydantic.ValidationError, config_class: type) -> str:
    """Returns the first error in one line: the field, the rule, the value."""
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first['loc']]
    name = '.'.join(path) or config_class.__name__
    match first['type']:
        case 'unexpected_keyword_argument' | 'extra_forbidden':
            owner = _class_at(config_class, path[:-1], title=error.title)
            fields = [field.name for field in dataclasses.fields(owner)]
            near = suggestion(path[-1], fields)
            return f'there is no field {name!r}; {owner.__name__} has {", ".join(fields)}{near}'
        case 'missing' | 'missing_argument':
            return f'{name} must be given'
        case 'value_error':  # raised by a config class: already one line
            return f'{first["ctx"]["error"]}'
        case _:
            rule = first['msg'].replace('Input should be', 'must be')
            near = ''
            if first['type'] == 'literal_error':
                choices = re.findall(r"'([^']*)'", first['ctx']['expected'])
                near = suggestion(str(first['input']), choices)
            return f'{name} {rule}, got {first["input"]!r}{near}'


def _class_at(config_class: type, path: Sequence[str], *, title: str) -> Any:
    """Returns the dataclass at a path from the one that raised, a config or a part of one."""
    current: Any = _parts(config_class)[title]
    for name in path:
        current = get_args(current)[0] if name.isdecimal() else get_type_hints(current)[name]
    return current


def _parts(config_class: type) -> dict[str, type]:
    """Returns a dataclass and all dataclasses in its fields, at any depth, by name."""
    found = {config_class.__name__: config_class}
    for hint in get_type_hints(config_class).values():
        for part in (hint, *get_args(hint)):  # itself, or the elements of a tuple
            if isinstance(part, type) and dataclasses.is_dataclass(part):
                found |= _parts(part)
    return found
