"""Converts the values of a JSON tensor: nested lists to a shape and a list, then to an array."""

import itertools
import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.protocol import json_values
from serving.protocol.status import Code, RequestError, invalid_argument
from serving.rest_json import document

MAX_RANK = 254  # of a TensorFlow tensor

_INT32 = (-(1 << 31), (1 << 31) - 1)
_RANGES = {  # of the integers in JSON; a smaller type wraps around, as in TensorFlow Serving
    'int8': _INT32,
    'int16': _INT32,
    'int32': _INT32,
    'uint8': _INT32,
    'int64': (-(1 << 63), (1 << 63) - 1),
    'uint32': (0, (1 << 32) - 1),
    'uint64': (0, (1 << 64) - 1),
}
_EXACT_INTEGERS = {'float32': (1 << 24) - 1, 'float64': (1 << 53) - 1}  # the largest accepted ones
_TENSORFLOW_NAMES = {'float32': 'float', 'float64': 'double', 'float16': 'half', 'object': 'string'}


def flatten(value: Any) -> tuple[list[int], list[Any]]:
    """Returns the shape of nested lists, and their values in order.

    Raises:
      RequestError: INVALID_ARGUMENT if the lists differ in depth or length.
    """
    shape = _shape(value)
    items = [value]
    for level, size in enumerate(shape):
        for item in items:
            if not isinstance(item, list):
                raise invalid_argument(
                    f'JSON Value: {brief(item)} found at incorrect level: {level + 1} '
                    f'in the JSON DOM. Expected at level: {len(shape)}'
                )
            if len(item) != size:
                raise invalid_argument(
                    f'Encountered list at unexpected size: {len(item)} at level: {level} '
                    f'expected size: {size}'
                )
        items = list(itertools.chain.from_iterable(items))
    if list in set(map(type, items)):
        raise invalid_argument(
            f'Encountered list at unexpected level: {len(shape)} expected < {len(shape)}'
        )
    return shape, items


def check(leaves: list[Any], dtype: np.dtype[Any]) -> None:
    """Checks that each value has a type.

    Raises:
      RequestError: INVALID_ARGUMENT, or UNIMPLEMENTED for a type without a JSON form.
    """
    if _are_plain(leaves, dtype):
        return
    for value in leaves:
        match dtype.name, value:
            case 'object', str():
                pass
            case 'object', dict():
                if not is_base64(value):
                    raise invalid_argument(
                        f'JSON Value: {brief(value)} not formatted correctly for base64 data'
                    )
            case 'bool', bool():
                pass
            case 'float32' | 'float64', int() | float() if value is not True and value is not False:
                _check_float(value, dtype)
            case name, int() if name in _RANGES and value is not True and value is not False:
                low, high = _RANGES[name]
                if not low <= value <= high:
                    raise _type_error(value, dtype)
            case name, _ if (
                name in _RANGES or name in _EXACT_INTEGERS or name in ('object', 'bool')
            ):
                raise _type_error(value, dtype)
            case name, _:
                raise RequestError(
                    Code.UNIMPLEMENTED,
                    f'Conversion of JSON Value: {brief(value)} to type: {type_name(dtype)}',
                )


def convert(leaves: list[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Returns checked values as a flat array; strings are an object array of bytes.

    Raises:
      RequestError: INVALID_ARGUMENT for a string that is not base64.
    """
    if not dtype.hasobject:
        wide = np.int64 if dtype.kind == 'i' or dtype.itemsize == 1 else dtype
        return np.array(leaves, wide).astype(dtype)
    array = np.empty(len(leaves), object)
    for index, value in enumerate(leaves):
        array[index] = document.encode_text(value) if isinstance(value, str) else _decode(value)
    return array


def is_base64(value: Any) -> bool:
    """Returns whether a value is an object with base64."""
    return type(value) is dict and json_values.is_encoded_bytes(value)


def type_name(dtype: np.dtype[Any]) -> str:
    """Returns TensorFlow's name of a type."""
    return _TENSORFLOW_NAMES.get(dtype.name, dtype.name)


def brief(value: Any) -> str:
    """Returns the JSON text of a value for a message, cut to 100 characters."""
    encoder = json.JSONEncoder()
    parts = itertools.islice(encoder.iterencode(value), 100)
    try:
        text = ''.join(parts)
    except RecursionError:
        return '...'
    return text if len(text) <= 100 else text[:100] + '...'


def _shape(value: Any) -> list[int]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > MAX_RANK:
            raise invalid_argument(f'a tensor must have at most {MAX_RANK} dimensions, got more')
        value = value[0] if value else None
    return shape


def _are_plain(leaves: list[Any], dtype: np.dtype[Any]) -> bool:
    """Returns whether all values pass `check`, where that is quick to see."""
    types = set(map(type, leaves))
    if dtype.hasobject:
        return types <= {str}
    if dtype.name in _RANGES and types == {int}:
        low, high = _RANGES[dtype.name]
        return low <= min(leaves) and max(leaves) <= high
    if dtype.name in _EXACT_INTEGERS and types and types <= {int, float}:
        limit = _EXACT_INTEGERS[dtype.name]
        return -limit <= min(leaves) and max(leaves) <= limit
    return False


def _check_float(value: float, dtype: np.dtype[Any]) -> None:
    limit = _EXACT_INTEGERS[dtype.name]
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 64:
        lossless = abs(value) <= limit
    elif isinstance(value, document.Constant):
        lossless = True
    else:
        if (isinstance(value, int) and abs(value) > 10**308) or math.isinf(value):
            raise invalid_argument('JSON Parse error: Number too big to be stored in double.')
        lossless = abs(value) <= float(np.finfo(dtype).max)
    if not lossless:
        raise invalid_argument(
            f'Cannot convert JSON value: {brief(value)} to {type_name(dtype)} '
            'without loss of precision.'
        )


def _type_error(value: Any, dtype: np.dtype[Any]) -> RequestError:
    kind = {dict: 'Object', list: 'Array', str: 'String', type(None): 'Null', bool: str(value)}
    return invalid_argument(
        f'JSON Value: {brief(value)} Type: {kind.get(type(value), "Number")} '
        f'is not of expected type: {type_name(dtype)}'
    )


def _decode(value: dict[str, str]) -> bytes:
    try:
        return json_values.decode_bytes(value)
    except ValueError as error:
        raise invalid_argument(f'Unable to base64 decode: {error}') from error
