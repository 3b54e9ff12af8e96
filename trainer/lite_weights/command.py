"""The flags of the command, and what it does; `python -m trainer.lite0_weights` has them too."""

from absl import flags

from catalog import command_line
from trainer.lite_weights import convert

_NETWORK = flags.DEFINE_enum(
    'network', convert.NETWORKS[0], convert.NETWORKS, 'The network, as in `model.name`.'
)
_INPUT = flags.DEFINE(
    command_line.PATH,
    'input',
    None,
    'A .pth file of the network; by default that of the installed package.',
)
_OUTPUT = flags.DEFINE(
    command_line.PATH, 'output', None, 'The file to write: NAME.weights.h5', required=True
)


def main(argv: list[str]) -> None:
    """Reads the flags and converts."""
    del argv
    network = _NETWORK.value
    path = _INPUT.value or convert.package_file(network)
    convert.convert(path, network=network, output=_OUTPUT.value)
    print(f'wrote {_OUTPUT.value}')
