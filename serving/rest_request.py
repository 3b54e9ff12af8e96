"""The JSON of a predict request to tensors, by TensorFlow Serving's rules.

Specification: https://www.tensorflow.org/tfx/serving/api_rest#request_format_4. Rows: 'instances',
one value or object each, put together along a first dimension. Columns: 'inputs', whole tensors.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.status import invalid

_WHITESPACE = str.maketrans('', '', ' \t\r\n\v\f')

Types = Mapping[str, np.dtype[Any]]
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class PredictBody:
    """A request's body, its tensors not yet read.

    Attributes:
      signature_name: '' stands for the default one.
      rows: whether `values` is a list of rows; otherwise it is columns.
      values: what stood under 'instances' or 'inputs'.
    """

    signature_name: str
    rows: bool
    values: Any


def parse(body: bytes) -> PredictBody:
    """Reads the outer object.

    Raises:
      RequestError: INVALID_ARGUMENT.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid(f'JSON Parse error: {error}') from error
    if not isinstance(document, dict):
        raise invalid(f'request must be a JSON object, got {_kind(document)}')
    signature_name = document.get('signature_name', '')
    if not isinstance(signature_name, str):
        raise invalid("'signature_name' key must be a string value.")
    rows = 'instances' in document
    if rows == ('inputs' in document):
        raise invalid("request must have one of the keys 'instances' and 'inputs'")
    if not rows:
        return PredictBody(signature_name, rows, document['inputs'])
    if not isinstance(document['instances'], list) or not document['instances']:
        raise invalid("'instances' must be a list of at least one value")
    return PredictBody(signature_name, rows, document['instances'])


def to_inputs(body: PredictBody, types: Types) -> Arrays:
    """The tensors of a request, for a signature's input types.

    Raises:
      RequestError: INVALID_ARGUMENT, naming the input, the row and the fault.
    """
    return _from_rows(body.values, types) if body.rows else _from_columns(body.values, types)


def _from_rows(rows: list[Any], types: Types) -> Arrays:
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in types}
    named = _is_named(rows[0])
    for index, row in enumerate(rows):
        where = f"element {index} of 'instances'"
        if _is_named(row) != named:
            raise invalid(f'{where}: must be an object in all rows or in none')
        values = _named(row, types, where=where)
        if set(values) != set(types):
            raise invalid(f'{where}: keys must be {sorted(types)}, got {sorted(values)}')
        for name, value in values.items():
            columns[name].append(_array(value, types[name], where=f'{where}, input {name!r}'))
    for name, arrays in columns.items():
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1:
            raise invalid(f'input {name!r}: rows must have one shape, got {sorted(shapes)}')
    return {name: np.stack(arrays) for name, arrays in columns.items()}


def _from_columns(columns: Any, types: Types) -> Arrays:
    values = _named(columns, types, where="'inputs'")
    for name in types:  # others are not looked at, as in TensorFlow Serving
        if name not in values:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _array(values[name], types[name], where=f'input {name!r}') for name in types}


def _named(value: Any, types: Types, *, where: str) -> dict[str, Any]:
    """The values by input name; the name of an only input may be left out."""
    if _is_named(value):
        return dict(value)
    if len(types) != 1:
        raise invalid(f'{where}: must be an object with the keys {sorted(types)}')
    return {next(iter(types)): value}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {'b64'} and isinstance(value['b64'], str)


def _array(value: Any, dtype: np.dtype[Any], *, where: str) -> npt.NDArray[Any]:
    shape: list[int] = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    flat: list[Any] = []
    _flatten(value, shape, dtype=dtype, into=flat, where=where)
    array = np.empty(len(flat), dtype)
    try:
        array[:] = flat
    except OverflowError as error:
        raise invalid(f'{where}: must fit {dtype.name}: {error}') from error
    return array.reshape(shape)


def _flatten(
    value: Any, shape: list[int], *, dtype: np.dtype[Any], into: list[Any], where: str
) -> None:
    if not isinstance(value, list):
        if shape:
            raise invalid(f'{where}: must have lists of equal depth, got {_kind(value)} too early')
        into.append(_scalar(value, dtype, where=where))
        return
    if not shape or len(value) != shape[0]:
        raise invalid(f'{where}: must have lists of equal size, got one of {len(value)}')
    for item in value:
        _flatten(item, shape[1:], dtype=dtype, into=into, where=where)


def _scalar(value: Any, dtype: np.dtype[Any], *, where: str) -> Any:
    match dtype.kind, value:
        case 'O', str():
            return value.encode('utf-8', 'surrogatepass')
        case 'O', dict() if _is_base64(value):
            return _decode_base64(value['b64'], where=where)
        case 'b', bool():
            return value
        case 'i' | 'u', int() if not isinstance(value, bool):
            return value
        case 'f', int() | float() if not isinstance(value, bool):
            return value
    wanted = 'string' if dtype.hasobject else dtype.name
    raise invalid(f'{where}: must be {wanted}, got {_kind(value)}')


def _decode_base64(text: str, *, where: str) -> bytes:
    text = text.translate(_WHITESPACE)
    try:
        # Padding may be left out.
        return base64.b64decode(text + '=' * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(f'{where}: must be base64 (RFC 4648, section 4): {error}') from error


def _kind(value: Any) -> str:
    match value:
        case dict():
            return f'an object with the keys {sorted(value)[:5]}'
        case list():
            return f'a list of {len(value)}'
        case _:
            text = json.dumps(value)
            return text if len(text) <= 40 else text[:40] + '...'
