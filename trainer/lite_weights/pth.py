"""Reads the tensors of a PyTorch file without PyTorch, which would be 3 GB for 17 MB of weights.

The format is that of torch.save before 1.6: pickles of a magic number, a version, machine
information, the dictionary of tensors (each names a storage by its key) and the list of keys; then,
for each key, an int64 count and the storage's bytes. The file is untrusted: each tensor is checked
against its storage, each storage against the file.
"""

import io
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.errors import UserError
from trainer.lite_weights import tensor_pickles
from trainer.lite_weights.tensor_pickles import Tensor

_MAX_FILE_BYTES = 256 << 20  # 256 MiB; EfficientNet-Lite0 has 18 MiB
_MAX_TENSORS = 10_000
_MAX_REASON = 300  # characters; names in the file may be of any length
_MAGIC = 0x1950A86A20F9469CFC6C

Array = npt.NDArray[Any]


def read(path: str) -> dict[str, Array]:
    """Returns the tensors of a file by name: float32 or int64, read-only.

    Raises:
      UserError: If the file has another format, is truncated, or describes a tensor that lies
        outside of its storage.
    """
    try:
        size = Path(path).stat().st_size
        if size > _MAX_FILE_BYTES:
            raise ValueError(f'{size:,} bytes, more than {_MAX_FILE_BYTES:,}')
        return _read(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        reason = ' '.join(str(error).split())[:_MAX_REASON]
        raise UserError(
            f'{path}: must be a file of tensors from PyTorch before 1.6, got: {reason}'
        ) from error


def _read(data: bytes) -> dict[str, Array]:
    file = io.BytesIO(data)
    magic, _, _ = (tensor_pickles.load(file) for _ in range(3))
    if magic != _MAGIC:
        raise ValueError('another magic number')
    tensors, keys = tensor_pickles.load(file), tensor_pickles.load(file)
    _check(tensors, keys)
    dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
    storages = {key: _storage(file, data, key=key, dtype=dtypes.get(key)) for key in keys}
    return {name: _view(name, tensor, storages) for name, tensor in tensors.items()}


def _check(tensors: Any, keys: Any) -> None:
    if not isinstance(tensors, dict) or not isinstance(keys, list):
        raise ValueError('no dictionary of tensors and list of storages')
    if max(len(tensors), len(keys)) > _MAX_TENSORS:
        raise ValueError(f'more than {_MAX_TENSORS:,} tensors or storages')
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f'{name!r}, which is not a tensor')
    if not all(isinstance(key, str) for key in keys) or len(set(keys)) < len(keys):
        raise ValueError('keys of storages that are not different strings')


def _storage(file: io.BytesIO, data: bytes, *, key: str, dtype: np.dtype[Any] | None) -> Array:
    if dtype is None:
        raise ValueError(f'a storage {key!r} that no tensor uses')
    start = file.tell() + 8
    left = len(data) - start
    count = struct.unpack('<q', file.read(8))[0] if left >= 0 else -1
    if not 0 <= count <= left // dtype.itemsize:
        raise ValueError(
            f'a storage {key!r} of {count:,} elements, with {max(left, 0):,} bytes left in the file'
        )
    file.seek(start + count * dtype.itemsize)
    return np.frombuffer(data, dtype, count, offset=start)


def _view(name: str, tensor: Tensor, storages: Mapping[str, Array]) -> Array:
    storage = storages.get(tensor.storage.key)
    if storage is None or storage.dtype != tensor.storage.dtype:
        raise ValueError(f'{name!r}, which has no storage of its type')
    steps = zip(tensor.size, tensor.strides, strict=True)
    end = tensor.offset + sum((size - 1) * stride for size, stride in steps) + 1
    elements = math.prod(tensor.size)
    if elements > len(storage) or end > len(storage) or not elements:
        raise ValueError(
            f'{name!r} with size {tensor.size}, strides {tensor.strides} and offset '
            f'{tensor.offset}, outside of its storage of {len(storage):,} elements'
        )
    strides = [stride * storage.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(
        storage[tensor.offset :], tensor.size, strides, writeable=False
    )
