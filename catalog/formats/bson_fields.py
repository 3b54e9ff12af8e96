"""Describes the fields of a BSON document of any schema, for messages."""

import itertools

from catalog.formats import bson_document

_DOCUMENT, _ARRAY = 0x03, 0x04
_MOST_FIELDS = 8
_MOST_DEPTH = 2
_MOST_NAME = 40  # characters


def describe_fields(data: bytes, start: int = 0, *, depth: int = 0) -> dict[str, str]:
    """Returns the names of the fields of the document at `start`, and their types.

    Only the first fields, and the first elements of an array, are described.

    Raises:
      BadDocument: If the document is not valid BSON.
    """
    found: dict[str, str] = {}
    for name, kind, at in bson_document.read_fields(data, start):
        if len(found) == _MOST_FIELDS:
            found['...'] = ''
            break
        found[name[:_MOST_NAME].decode(errors='replace')] = _describe(data, kind, at, depth)
    return found


def format_fields(fields: dict[str, str]) -> str:
    """Returns fields as `{_id: int32, imgs: [{picture: binary}]}`."""
    return '{' + ', '.join(f'{n}: {kind}' if kind else n for n, kind in fields.items()) + '}'


def _describe(data: bytes, kind: int, at: int, depth: int) -> str:
    if kind == _DOCUMENT and depth < _MOST_DEPTH:
        return format_fields(describe_fields(data, at, depth=depth + 1))
    if kind == _ARRAY and depth < _MOST_DEPTH:
        elements = itertools.islice(bson_document.read_fields(data, at), _MOST_FIELDS)
        kinds = dict.fromkeys(
            _describe(data, element_kind, element_at, depth + 1)
            for _, element_kind, element_at in elements
        )
        return f'[{" or ".join(kinds)}]'
    return bson_document.type_name(kind)
