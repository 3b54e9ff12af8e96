"""The earlier name of `python -m trainer.lite_weights`, with the same flags: for existing scripts.

Example:
  python -m trainer.lite0_weights --output=efficientnet_lite0.weights.h5
"""

from catalog import command_line
from trainer.lite_weights import command

if __name__ == '__main__':
    command_line.run(command.main)
