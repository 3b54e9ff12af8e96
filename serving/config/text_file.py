"""Reads protobuf messages from text files, as TensorFlow Serving's flags name them."""

from typing import Any

from google.protobuf import text_format

from catalog import storage
from catalog.errors import UserError


def read(path: str, message: Any) -> Any:
    """Reads a file into an empty message and returns it.

    Raises:
      UserError: If the file does not exist or is not the text of such a message.
    """
    try:
        text = storage.read_bytes(path).decode()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f'{path}: must be a file, got none') from error
    except UnicodeDecodeError as error:
        raise UserError(f'{path}: must be UTF-8 text: {error}') from error
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        name = message.DESCRIPTOR.name
        raise UserError(f'{path}: must be the text of a {name} message: {error}') from error


def refuse(where: str, message: Any, *fields: str) -> None:
    """Raises a UserError if one of the fields is set, because this server does not offer it."""
    set_fields = {field.name for field, _ in message.ListFields()}
    for name in fields:
        if name in set_fields:
            raise UserError(f'{where}: this server does not offer {name}; remove it')
