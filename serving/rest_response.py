"""Tensors to the JSON of a predict response, by TensorFlow Serving's rules.

Specification: https://www.tensorflow.org/tfx/serving/api_rest#response_format_4. A string is text,
except in an output whose name ends in `_bytes`, where it is base64 in an object. A decimal has six
digits where these tell it exactly, else as many as are needed (9 for float32), and `.0` at least.
"""

import base64
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.status import Code, RequestError, invalid

_DIGITS = {'float32': 9, 'float64': 17}


def to_json(outputs: Mapping[str, npt.NDArray[Any]], *, rows: bool) -> bytes:
    """The body: 'predictions' by row or 'outputs' by column. The name of an only output is omitted.

    Raises:
      RequestError: INVALID_ARGUMENT if rows are asked for and outputs differ in their number.
    """
    text = _rows(outputs) if rows else _columns(outputs)
    # A string that is no UTF-8 passes as it is, like TensorFlow Serving's.
    return text.encode('utf-8', 'surrogateescape')


def error_json(message: str) -> bytes:
    """The body of an error."""
    return json.dumps({'error': message}).encode()


def _rows(outputs: Mapping[str, npt.NDArray[Any]]) -> str:
    for name, array in outputs.items():
        if not array.ndim:
            raise invalid(f'Tensor name: {name} has no shape information')
    if len({len(array) for array in outputs.values()}) > 1:
        sizes = {name: len(array) for name, array in outputs.items()}
        raise invalid(f'outputs must have one batch size to be given as rows, got {sizes}')
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
            return lambda value: f'{{"b64": "{base64.b64encode(value).decode()}"}}'
        case 'O':
            return _string
        case 'f' if array.dtype.name in _DIGITS:
            return lambda value: decimal(value, array.dtype)
        case 'b' | 'i' | 'u':
            return json.dumps
    raise RequestError(Code.INVALID_ARGUMENT, f'JSON has no value for {array.dtype.name}')


def _string(value: bytes) -> str:
    return json.dumps(value.decode('utf-8', 'surrogateescape'), ensure_ascii=False)


def decimal(value: float, dtype: np.dtype[Any]) -> str:
    """The text of a number, which reads back as the same number of its type."""
    if math.isnan(value):
        return 'NaN'
    if math.isinf(value):
        return 'Infinity' if value > 0 else '-Infinity'
    text = f'{value:.6g}'
    if dtype.type(text) != value:
        text = f'{value:.{_DIGITS[dtype.name]}g}'
    return text if '.' in text or 'e' in text else text + '.0'
