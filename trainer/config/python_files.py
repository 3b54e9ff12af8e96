"""Files of values: Python that is run for what one function of it gives."""

import importlib.util
from typing import Any

from catalog.errors import UserError


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
