"""Converts the JSON of a predict request to arrays, by TensorFlow Serving's rules.

Specification: https://www.tensorflow.org/tfx/serving/api_rest#request_format_4. The row format has
'instances', one value or object per example, stacked along the first dimension. The column format
has 'inputs', one complete tensor per input.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.protocol import json_values
from serving.protocol.status import invalid_argument

Types = Mapping[str, np.dtype[Any]]
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class PredictBody:
    """The body of a predict request, its tensors not yet converted.

    Attributes:
      signature_name: Name of the signature; '' is the default signature.
      rows: Whether the body has the row format; otherwise it has the column format.
      values: The value of 'instances' or 'inputs'.
    """

    signature_name: str
    rows: bool
    values: Any


def parse(body: bytes) -> PredictBody:
    """Parses the outer object of a body.

    Raises:
      RequestError: INVALID_ARGUMENT.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid_argument(f'JSON Parse error: {error}') from error
    if not isinstance(document, dict):
        raise invalid_argument(f'request must be a JSON object, got {_kind(document)}')
    signature_name = document.get('signature_name', '')
    if not isinstance(signature_name, str):
        raise invalid_argument("'signature_name' key must be a string value.")
    rows = 'instances' in document
    if rows == ('inputs' in document):
        raise invalid_argument("request must have exactly one of the keys 'instances' and 'inputs'")
    if not rows:
        return PredictBody(signature_name, rows, document['inputs'])
    if not isinstance(document['instances'], list) or not document['instances']:
        raise invalid_argument("'instances' must be a list of at least one value")
    return PredictBody(signature_name, rows, document['instances'])


def build_inputs(body: PredictBody, types: Types) -> Arrays:
    """Builds the input arrays of a request, given a signature's input types.

    Raises:
      RequestError: INVALID_ARGUMENT; the message names the input, the row and the problem.
    """
    return _from_rows(body.values, types) if body.rows else _from_columns(body.values, types)


def _from_rows(rows: list[Any], types: Types) -> Arrays:
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in types}
    named = _is_named(rows[0])
    for index, row in enumerate(rows):
        where = f"element {index} of 'instances'"
        if _is_named(row) != named:
            raise invalid_argument(f'{where}: must be an object in all rows or in no row')
        values = _named(row, types, where=where)
        if set(values) != set(types):
            raise invalid_argument(f'{where}: keys must be {sorted(types)}, got {sorted(values)}')
        for name, value in values.items():
            columns[name].append(_array(value, types[name], where=f'{where}, input {name!r}'))
    for name, arrays in columns.items():
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1:
            raise invalid_argument(
                f'input {name!r}: all rows must have the same shape, got {sorted(shapes)}'
            )
    return {name: np.stack(arrays) for name, arrays in columns.items()}


def _from_columns(columns: Any, types: Types) -> Arrays:
    values = _named(columns, types, where="'inputs'")
    for name in types:  # other keys are ignored, as in TensorFlow Serving
        if name not in values:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
    return {name: _array(values[name], types[name], where=f'input {name!r}') for name in types}


def _named(value: Any, types: Types, *, where: str) -> dict[str, Any]:
    """Returns the values by input name; the name of a single input is optional."""
    if _is_named(value):
        return dict(value)
    if len(types) != 1:
        raise invalid_argument(f'{where}: must be an object with the keys {sorted(types)}')
    return {next(iter(types)): value}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not json_values.is_encoded_bytes(value)


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
        raise invalid_argument(f'{where}: must be in the range of {dtype.name}: {error}') from error
    return array.reshape(shape)


def _flatten(
    value: Any, shape: list[int], *, dtype: np.dtype[Any], into: list[Any], where: str
) -> None:
    if not isinstance(value, list):
        if shape:
            raise invalid_argument(
                f'{where}: must have lists of equal depth, got {_kind(value)} instead of a list'
            )
        into.append(_scalar(value, dtype, where=where))
        return
    if not shape or len(value) != shape[0]:
        raise invalid_argument(
            f'{where}: must have lists of equal length, got a list of {len(value)}'
        )
    for item in value:
        _flatten(item, shape[1:], dtype=dtype, into=into, where=where)


def _scalar(value: Any, dtype: np.dtype[Any], *, where: str) -> Any:
    match dtype.kind, value:
        case 'O', str():
            return value.encode('utf-8', 'surrogatepass')
        case 'O', dict() if json_values.is_encoded_bytes(value):
            return _decode_bytes(value, where=where)
        case 'b', bool():
            return value
        case 'i' | 'u', int() if not isinstance(value, bool):
            return value
        case 'f', int() | float() if not isinstance(value, bool):
            return value
    expected = 'string' if dtype.hasobject else dtype.name
    raise invalid_argument(f'{where}: must be {expected}, got {_kind(value)}')


def _decode_bytes(value: dict[str, str], *, where: str) -> bytes:
    try:
        return json_values.decode_bytes(value)
    except ValueError as error:
        raise invalid_argument(f'{where}: must be base64 (RFC 4648, section 4): {error}') from error


def _kind(value: Any) -> str:
    match value:
        case dict():
            return f'an object with the keys {sorted(value)[:5]}'
        case list():
            return f'a list of {len(value)}'
        case _:
            text = json.dumps(value)
            return text if len(text) <= 40 else text[:40] + '...'
