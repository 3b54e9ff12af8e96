"""Arrays in messages of the Open Inference Protocol v2: raw bytes, or one list for each type."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_DATATYPES = {  # name in the protocol: numpy type, little-endian, and the list of values
    'UINT8': ('|u1', 'uint_contents'),
    'INT32': ('<i4', 'int_contents'),
    'INT64': ('<i8', 'int64_contents'),
    'FP16': ('<f2', None),
    'FP32': ('<f4', 'fp32_contents'),
    'FP64': ('<f8', 'fp64_contents'),
}
_NAMES = {np.dtype(kind): name for name, (kind, _) in _DATATYPES.items()}


def add_input(request: Any, name: str, array: Array) -> None:
    """Adds an input to a ModelInferRequest, as raw bytes."""
    tensor = request.inputs.add(name=name, datatype=_NAMES[array.dtype.newbyteorder('<')])
    tensor.shape.extend(array.shape)
    request.raw_input_contents.append(np.ascontiguousarray(array).tobytes())


def read_outputs(response: Any) -> dict[str, Array]:
    """Returns the outputs of a ModelInferResponse by name.

    Raises:
      ValueError: If an output has an unknown type, or another number of values than its shape.
    """
    raw = list(response.raw_output_contents)
    if raw and len(raw) != len(response.outputs):
        raise ValueError(f'{len(response.outputs)} outputs must have raw bytes, got {len(raw)}')
    return {
        tensor.name: _read(tensor, raw[number] if raw else None)
        for number, tensor in enumerate(response.outputs)
    }


def _read(tensor: Any, raw: bytes | None) -> Array:
    if tensor.datatype not in _DATATYPES:
        raise ValueError(
            f'{tensor.name} must be one of {", ".join(_DATATYPES)}, got {tensor.datatype!r}'
        )
    kind, field = _DATATYPES[tensor.datatype]
    shape = tuple(tensor.shape)
    try:
        if raw is not None:
            return np.frombuffer(raw, kind).reshape(shape)
        values = getattr(tensor.contents, field) if field else ()
        return np.array(values, kind).reshape(shape)
    except ValueError as error:
        raise ValueError(f'{tensor.name} must have the values of its shape: {error}') from error
