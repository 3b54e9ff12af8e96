"""Converts numpy arrays to TensorProto and back, for the official class and for `messages` alike.

Values are written to the typed fields (`float_val`, `string_val`, ...), as TensorFlow Serving
does, and read from these or from `tensor_content`. Specification: tensorflow/core/framework/
{tensor,types}.proto. Half, complex and quantized types are not supported.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.protocol.names import MAX_MESSAGE_BYTES

_STRING = 7  # DT_STRING

_TYPES = {  # DataType number: (numpy name, TensorProto field)
    1: ('float32', 'float_val'),
    2: ('float64', 'double_val'),
    3: ('int32', 'int_val'),
    4: ('uint8', 'int_val'),
    5: ('int16', 'int_val'),
    6: ('int8', 'int_val'),
    _STRING: ('object', 'string_val'),
    9: ('int64', 'int64_val'),
    10: ('bool', 'bool_val'),
    17: ('uint16', 'int_val'),
    22: ('uint32', 'uint32_val'),
    23: ('uint64', 'uint64_val'),
}
_NUMBERS = {name: number for number, (name, _) in _TYPES.items()}


def numpy_dtype(number: int) -> np.dtype[Any]:
    """Returns the numpy type of a DataType number; strings are `object` arrays of bytes.

    Raises:
      ValueError: If the type is not supported.
    """
    if number not in _TYPES:
        raise ValueError(f'tensor type must be one of {sorted(_NUMBERS)}, got DataType {number}')
    return np.dtype(_TYPES[number][0])


def write_array(proto: Any, array: npt.NDArray[Any]) -> None:
    """Writes an array to an empty TensorProto.

    Raises:
      ValueError: If the type of the array is not supported.
    """
    number = _NUMBERS.get(array.dtype.name)
    if number is None:
        raise ValueError(f'tensor type must be one of {sorted(_NUMBERS)}, got {array.dtype.name}')
    proto.dtype = number
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.SetInParent()  # a scalar too has a shape, []
    getattr(proto, _TYPES[number][1]).extend(array.ravel().tolist())


def read_array(proto: Any) -> npt.NDArray[Any]:
    """Returns the array of a TensorProto. If there are too few values, the last one is repeated.

    Raises:
      ValueError: If the type, the shape and the values contradict each other.
    """
    dtype = numpy_dtype(proto.dtype)
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise ValueError(f'tensor shape must be known, got {shape or "unknown rank"}')
    count = math.prod(shape)
    if count * dtype.itemsize > MAX_MESSAGE_BYTES:  # a repeated value makes a small message large
        raise ValueError(f'tensor must have at most {MAX_MESSAGE_BYTES} bytes, got shape {shape}')
    if proto.tensor_content:
        return _from_content(proto.tensor_content, dtype=dtype, shape=shape)
    values = getattr(proto, _TYPES[proto.dtype][1])
    if len(values) > count or (count and not values):
        raise ValueError(f'tensor of shape {shape} must have {count} values, got {len(values)}')
    array = np.empty(count, dtype)
    try:
        array[: len(values)] = values
    except OverflowError as error:  # int_val also carries the types of fewer than 32 bits
        raise ValueError(f'tensor values must be in the range of {dtype.name}: {error}') from error
    array[len(values) :] = values[-1] if values else None
    return array.reshape(shape)


def _from_content(content: bytes, *, dtype: np.dtype[Any], shape: list[int]) -> npt.NDArray[Any]:
    count = math.prod(shape)
    if dtype.hasobject:
        raise ValueError('string tensor must have its values in string_val, got tensor_content')
    if len(content) != count * dtype.itemsize:
        raise ValueError(
            f'tensor_content of shape {shape} must have {count * dtype.itemsize} bytes, '
            f'got {len(content)}'
        )
    return np.frombuffer(content, dtype).reshape(shape)
