"""Converts numpy arrays to TensorProto and back, for the official class and for `messages` alike.

Values are written to the typed fields (`float_val`, `string_val`, ...), as TensorFlow Serving
does, and read from these or from `tensor_content`, as TensorFlow reads them. Specification:
tensorflow/core/framework/{tensor,types}.proto. Quantized, 4-bit and 8-bit floating-point types are
not supported.
"""

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.protocol.names import MAX_MESSAGE_BYTES

MAX_REPEATED_BYTES = 256 << 20  # of a tensor whose message has fewer values than its shape

_STRING = 7  # DT_STRING
_BFLOAT16 = 14  # DT_BFLOAT16

_TYPES = {  # DataType number: (numpy name, TensorProto field)
    1: ('float32', 'float_val'),
    2: ('float64', 'double_val'),
    3: ('int32', 'int_val'),
    4: ('uint8', 'int_val'),
    5: ('int16', 'int_val'),
    6: ('int8', 'int_val'),
    _STRING: ('object', 'string_val'),
    8: ('complex64', 'scomplex_val'),
    9: ('int64', 'int64_val'),
    10: ('bool', 'bool_val'),
    _BFLOAT16: ('bfloat16', 'half_val'),
    17: ('uint16', 'int_val'),
    18: ('complex128', 'dcomplex_val'),
    19: ('float16', 'half_val'),
    22: ('uint32', 'uint32_val'),
    23: ('uint64', 'uint64_val'),
}
_NUMBERS = {name: number for number, (name, _) in _TYPES.items()}
_FIELD_TYPES = {  # TensorProto field: numpy type of its elements
    'float_val': np.float32,
    'double_val': np.float64,
    'int_val': np.int32,
    'string_val': np.object_,
    'scomplex_val': np.float32,  # real part, imaginary part
    'int64_val': np.int64,
    'bool_val': np.bool_,
    'dcomplex_val': np.float64,
    'half_val': np.int32,  # the 16 bits of the number
    'uint32_val': np.uint32,
    'uint64_val': np.uint64,
}


def numpy_dtype(number: int) -> np.dtype[Any]:
    """Returns the numpy type of a DataType number; strings are `object` arrays of bytes.

    Raises:
      ValueError: If the type is not supported.
    """
    if number == _BFLOAT16:
        return _bfloat16()
    if number not in _TYPES:
        raise ValueError(f'tensor type must be one of {sorted(_NUMBERS)}, got DataType {number}')
    return np.dtype(_TYPES[number][0])


def write_array(proto: Any, array: npt.NDArray[Any]) -> None:
    """Writes an array to an empty TensorProto.

    Raises:
      ValueError: If the type of the array is not supported.
    """
    proto.dtype = number = _number(array.dtype)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.SetInParent()  # a scalar too has a shape, []
    field = _TYPES[number][1]
    getattr(proto, field).extend(_elements(array.ravel(), field).tolist())


def write_compact(proto: Any, array: npt.NDArray[Any]) -> None:
    """Writes an array to an empty TensorProto as TensorFlow's clients do: numbers as bytes.

    Raises:
      ValueError: If the type of the array is not supported.
    """
    if array.dtype.hasobject:
        write_array(proto, array)
        return
    write_array(proto, array[:0].reshape(0))
    del proto.tensor_shape.dim[:]
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_content = array.astype(array.dtype.newbyteorder('<'), copy=False).tobytes()


def read_array(proto: Any) -> npt.NDArray[Any]:
    """Returns the array of a TensorProto, by TensorFlow's rules.

    If there are too few values, the last one is repeated; without any, all are zero, False or
    empty. Superfluous values are ignored. An integer wraps around at its type's range.

    Raises:
      ValueError: If the type is not supported, or if shape and content contradict each other.
    """
    dtype = numpy_dtype(proto.dtype)
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if any(size < 0 for size in shape):
        raise ValueError(f'tensor shape must be known, got {shape}')
    count = math.prod(shape)
    if count * dtype.itemsize > MAX_MESSAGE_BYTES:
        raise ValueError(f'tensor must have at most {MAX_MESSAGE_BYTES} bytes, got shape {shape}')
    if proto.tensor_content:
        return _from_content(proto.tensor_content, dtype=dtype, shape=shape)
    values = _values(proto, dtype)[:count]
    if len(values) == count:
        return values.reshape(shape)
    if count * dtype.itemsize > MAX_REPEATED_BYTES:  # a small message must not become a large array
        raise ValueError(
            f'tensor with {len(values)} values must have at most {MAX_REPEATED_BYTES} bytes, '
            f'got shape {shape}'
        )
    array = np.empty(count, dtype)
    array[: len(values)] = values
    array[len(values) :] = values[-1] if len(values) else _zero(dtype)
    return array.reshape(shape)


@functools.cache  # numpy makes the name of a type each time
def _number(dtype: np.dtype[Any]) -> int:
    """Returns the DataType number of a numpy type."""
    if dtype.name not in _NUMBERS:
        raise ValueError(f'tensor type must be one of {sorted(_NUMBERS)}, got {dtype.name}')
    return _NUMBERS[dtype.name]


def _bfloat16() -> np.dtype[Any]:
    try:
        import ml_dtypes  # an extension of numpy, which TensorFlow requires
    except ModuleNotFoundError as error:
        raise ValueError('bfloat16 tensors need the package ml_dtypes') from error
    return np.dtype(ml_dtypes.bfloat16)


def _zero(dtype: np.dtype[Any]) -> Any:
    return b'' if dtype.hasobject else 0


def _elements(array: npt.NDArray[Any], field: str) -> npt.NDArray[Any]:
    """Returns a flat array as the elements of its field."""
    match field:
        case 'half_val':
            return array.view(np.uint16)
        case 'scomplex_val' | 'dcomplex_val':
            return array.view(_FIELD_TYPES[field])
        case _:
            return array


def _values(proto: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Returns the values of a TensorProto's field as a flat array."""
    field = _TYPES[proto.dtype][1]
    elements: npt.NDArray[Any] = np.array(getattr(proto, field), _FIELD_TYPES[field])
    match field:
        case 'half_val':
            return elements.astype(np.uint16).view(dtype)
        case 'scomplex_val' | 'dcomplex_val':
            return elements[: len(elements) // 2 * 2].view(dtype)
        case _:
            return elements.astype(dtype)


def _from_content(content: bytes, *, dtype: np.dtype[Any], shape: list[int]) -> npt.NDArray[Any]:
    count = math.prod(shape)
    if dtype.hasobject:
        return _strings(content, count).reshape(shape)
    if len(content) != count * dtype.itemsize:
        raise ValueError(
            f'tensor_content of shape {shape} must have {count * dtype.itemsize} bytes, '
            f'got {len(content)}'
        )
    return np.frombuffer(content, dtype).reshape(shape)


def _strings(content: bytes, count: int) -> npt.NDArray[Any]:
    """Splits the content of a string tensor: all lengths as varints, then all bytes."""
    if count > len(content):
        raise ValueError(f'tensor_content of {count} strings must have as many lengths')
    lengths: list[int] = []
    position = 0
    for _ in range(count):
        length, position = _varint(content, position)
        lengths.append(length)
    ends = np.cumsum([position, *lengths])
    if ends[-1] != len(content):
        raise ValueError(f'tensor_content must have {ends[-1]} bytes, got {len(content)}')
    strings = np.empty(count, object)
    for index in range(count):
        strings[index] = content[ends[index] : ends[index + 1]]
    return strings


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """Returns a number of at most 32 bits and the position behind it."""
    value = 0
    for shift in range(0, 35, 7):
        if position >= len(content):
            break
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError('tensor_content of strings must begin with their lengths as varints')
