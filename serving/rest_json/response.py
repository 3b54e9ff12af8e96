"""Formats output arrays as the JSON of a predict response, by TensorFlow Serving's rules.

Specification: https://www.tensorflow.org/tfx/serving/api_rest#response_format_4. A string is text,
except in an output whose name ends in `_bytes`, where it is an object with base64.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

from serving.protocol import json_values
from serving.protocol.status import invalid_argument
from serving.rest_json.values import type_name


def format_outputs(outputs: Mapping[str, npt.NDArray[Any]], *, rows: bool) -> bytes:
    """Returns the body: 'predictions' by row or 'outputs' by column. Omits a single output's name.

    Raises:
      RequestError: INVALID_ARGUMENT for a type without a JSON form, and in the row format if the
        outputs differ in their first dimension.
    """
    text = _rows(outputs) if rows else _columns(outputs)
    # A string that is not valid UTF-8 is sent unchanged, as in TensorFlow Serving.
    return text.encode('utf-8', 'surrogateescape')


def format_error(message: str) -> bytes:
    """Returns the body of an error."""
    return json.dumps({'error': message}).encode()


def _rows(outputs: Mapping[str, npt.NDArray[Any]]) -> str:
    count = 0
    for name, array in outputs.items():
        if not array.ndim:
            raise invalid_argument(f'Tensor name: {name} has no shape information')
        if not len(array):
            raise invalid_argument(f'Tensor name: {name} has invalid batch size: 0')
        if count and len(array) != count:
            raise invalid_argument(
                f'Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {count}'
            )
        count = len(array)
    columns = {
        name: [_text(item, _writer(name, array)) for item in array.tolist()]
        for name, array in outputs.items()
    }
    if len(columns) == 1:
        rows = next(iter(columns.values()))
    else:
        rows = [
            _object(dict(zip(columns, values, strict=True)))
            for values in zip(*columns.values(), strict=True)
        ]
    return '{"predictions": [\n' + ',\n'.join(rows) + '\n]}\n'


def _columns(outputs: Mapping[str, npt.NDArray[Any]]) -> str:
    columns = {name: _text(array.tolist(), _writer(name, array)) for name, array in outputs.items()}
    value = next(iter(columns.values())) if len(columns) == 1 else _object(columns)
    return f'{{"outputs": {value}}}\n'


def _object(texts: Mapping[str, str]) -> str:
    return '{' + ', '.join(f'{json.dumps(name)}: {text}' for name, text in texts.items()) + '}'


def _text(value: Any, write: Callable[[Any], str]) -> str:
    if isinstance(value, list):
        return '[' + ', '.join(_text(item, write) for item in value) + ']'
    return write(value)


def _writer(name: str, array: npt.NDArray[Any]) -> Callable[[Any], str]:
    match array.dtype.kind:
        case 'O' if name.endswith('_bytes'):
            return lambda value: json.dumps(json_values.encode_bytes(value))
        case 'O':
            return _string
        case 'f' if json_values.is_float(array.dtype):
            return lambda value: json_values.format_float(value, array.dtype)
        case 'b' | 'i' | 'u' if array.dtype.name != 'uint16':
            return json.dumps
    raise invalid_argument(f'Failed to write JSON value for tensor type: {type_name(array.dtype)}')


def _string(value: bytes) -> str:
    return json.dumps(value.decode('utf-8', 'surrogateescape'), ensure_ascii=False)
