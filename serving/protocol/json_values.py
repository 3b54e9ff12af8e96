"""Bytes and floating-point numbers in TensorFlow Serving's JSON, encoded and decoded.

Specification: https://www.tensorflow.org/tfx/serving/api_rest#json_mapping.
"""

import base64
import math
from typing import Any

import numpy as np
import numpy.typing as npt

_DIGITS = {'float32': 9, 'float64': 17}  # enough significant digits for an exact round trip

_WHITESPACE = str.maketrans('', '', ' \t\r\n\v\f')


def encode_bytes(data: bytes) -> dict[str, str]:
    """Returns the JSON object of a byte string: `{"b64": BASE64}`."""
    return {'b64': base64.b64encode(data).decode()}


def is_encoded_bytes(value: Any) -> bool:
    """Returns whether a JSON value is an object as `encode_bytes` returns it."""
    return isinstance(value, dict) and set(value) == {'b64'} and isinstance(value['b64'], str)


def decode_bytes(value: dict[str, str]) -> bytes:
    """Returns the byte string of a JSON object. Whitespace is ignored, padding is optional.

    Raises:
      ValueError: If the text is not base64 with the standard alphabet (RFC 4648, section 4).
    """
    text = value['b64'].translate(_WHITESPACE)
    if text.startswith('data:'):
        raise ValueError('must be base64 alone, got a data URL; send the part after the comma')
    if '-' in text or '_' in text:
        raise ValueError('must use the standard alphabet with + and /, got URL-safe base64')
    padding = '' if text.endswith('=') else '=' * (-len(text) % 4)
    return base64.b64decode(text + padding, validate=True)


def is_float(dtype: np.dtype[Any]) -> bool:
    """Returns whether `format_float` supports the type: float32 or float64."""
    return dtype.name in _DIGITS


def format_float(value: float, dtype: np.dtype[Any]) -> str:
    """Returns the JSON text of a number; parsed as its type, it gives the same number.

    Six significant digits where these are exact, otherwise 9 for float32 and 17 for float64. The
    text has a decimal point or an exponent.
    """
    if math.isnan(value):
        return 'NaN'
    if math.isinf(value):
        return 'Infinity' if value > 0 else '-Infinity'
    text = f'{value:.6g}'
    if dtype.type(text) != value:
        text = f'{value:.{_DIGITS[dtype.name]}g}'
    return text if '.' in text or 'e' in text else text + '.0'


def round_to_float32(value: Any) -> Any:
    """Rounds nested lists of numbers to float32; returns them as Python floats."""
    array: npt.NDArray[np.float32] = np.asarray(value, np.float32)
    return array.tolist()
