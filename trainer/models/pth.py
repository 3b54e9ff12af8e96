"""Reads a PyTorch file of tensors without PyTorch, which would be 3 GB for 17 MB of weights.

The format of torch.save before 1.6: pickles of a magic number, a version, facts of the machine, the
dictionary, whose tensors name a storage by its key, and the list of keys; then the storages' bytes.
"""

import collections
import pickle  # nosec B403
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from catalog.errors import UserError

_MAGIC = 0x1950A86A20F9469CFC6C
_TYPES = {'FloatStorage': np.dtype('<f4'), 'LongStorage': np.dtype('<i8')}


@dataclass(frozen=True)
class _Tensor:
    key: str
    dtype: np.dtype[Any]
    offset: int  # into its storage, in elements, like stride
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _tensor(
    storage: tuple[str, np.dtype[Any]],
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    *_: Any,
) -> _Tensor:
    key, dtype = storage
    return _Tensor(key, dtype, offset, size, stride)


class _Reader(pickle.Unpickler):
    """Knows dictionaries and tensors; a pickle that names anything else is refused, not called."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case 'torch._utils', '_rebuild_tensor_v2':
                return _tensor
            case 'torch', name if name in _TYPES:
                return _TYPES[name]
            case 'collections', 'OrderedDict':
                return collections.OrderedDict
            case _:
                raise pickle.UnpicklingError(f'it names {module}.{name}')

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype[Any]]:
        _, dtype, key, *_ = pid
        return key, dtype


def read(path: str) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a file by their names.

    Raises:
      UserError: if it is not such a file.
    """
    try:
        with Path(path).open('rb') as file:
            return _tensors(file)
    except (OSError, pickle.UnpicklingError, struct.error, ValueError) as error:
        raise UserError(
            f'{path}: must be tensors as PyTorch before 1.6 saved them, got: {error}'
        ) from error


def _tensors(file: BinaryIO) -> dict[str, npt.NDArray[Any]]:
    magic, _, _ = (_Reader(file).load() for _ in range(3))
    if magic != _MAGIC:
        raise ValueError('another magic number')
    named: Mapping[str, _Tensor] = _Reader(file).load()
    keys = _Reader(file).load()
    types = {tensor.key: tensor.dtype for tensor in named.values()}
    storages = {key: _storage(file, types[key]) for key in keys}
    return {name: _strided(tensor, storages[tensor.key]) for name, tensor in named.items()}


def _storage(file: BinaryIO, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    (count,) = struct.unpack('<q', file.read(8))
    return np.frombuffer(file.read(count * dtype.itemsize), dtype, count)


def _strided(tensor: _Tensor, storage: npt.NDArray[Any]) -> npt.NDArray[Any]:
    strides = [step * storage.itemsize for step in tensor.stride]
    view = np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.size, strides)
    return view.copy()
