r"""Writes a feature cache: the features that a backbone computes for every picture of a data set.

The head (fusion and last layer) trains on it alone, in minutes (docs/fusion.md):

  python -m trainer.features --workdir=run/work --data=run/shards --output=run/features
  python -m trainer.task --config=configs/tiny_products.py --data=run/features --workdir=run/head \
    --config.input.features=true --config.augment.flip=false

The backbone is that of a trained run (--workdir) or of a config with pretrained weights:

  python -m trainer.features --config=configs/kaggle_fused_views.py --data=DIR --output=DIR

The same command resumes where it stopped. An --output with features of another backbone or of other
data is refused. Train records keep their copies and are not augmented. d features of a picture take
2 d bytes. Each device of --strategy=mirrored computes its part of every batch.
"""

from typing import TYPE_CHECKING

from absl import flags

from catalog import command_line
from catalog.errors import UserError
from trainer import startup
from trainer.config import files, overrides
from trainer.data import data_set
from trainer.distribution import device_flags

if TYPE_CHECKING:
    from trainer.inference.runs import Member

flags.adopt_module_key_flags(device_flags)

_WORKDIR = flags.DEFINE(
    command_line.PATH, 'workdir', None, 'The workdir of the run whose backbone is used.'
)
_CONFIG = flags.DEFINE(command_line.LOCAL_PATH, 'config', None, 'A config file with model.weights.')
_DATA = flags.DEFINE(command_line.PATH, 'data', None, 'The folder of the shards.', required=True)
_OUTPUT = flags.DEFINE(command_line.PATH, 'output', None, 'The folder to write.', required=True)


def main(argv: list[str]) -> None:
    """Takes the program name, then overrides of the config as `a.b=value`."""
    if (_WORKDIR.value is None) == (_CONFIG.value is None):
        raise UserError('exactly one of --workdir and --config must be given')
    if _WORKDIR.value and argv[1:]:
        raise UserError(f'--config.{argv[1]}: the config of a --workdir cannot be changed')
    data = data_set.open_data_set(_DATA.value)
    startup.start()
    strategy = device_flags.build_strategy()
    from trainer.features.cache import write_cache  # loads TensorFlow, which --help need not

    with strategy.scope():
        member = _trained() if _WORKDIR.value else _pretrained(argv[1:], data.num_classes)
    source = write_cache(member, data, output=_OUTPUT.value)
    print(
        f'written to {_OUTPUT.value}: {source.size} features per picture, backbone '
        f'{source.model_sha256[:12]}, data {source.data_sha256[:12]}'
    )


def _trained() -> 'Member':
    from trainer.inference.runs import restore_member

    member, _ = restore_member(_WORKDIR.value)
    return member


def _pretrained(config_overrides: list[str], num_classes: int) -> 'Member':
    from trainer.inference.runs import Member
    from trainer.models.model import build_model

    config = files.load(_CONFIG.value, config_overrides)
    if config.model.weights is None:
        raise UserError(
            'model.weights must be set, or --workdir given: features of random weights are useless'
        )
    if config.model.head_channels:
        raise UserError(
            f'model.head_channels must be 0 with --config, got {config.model.head_channels}: this '
            'layer would stay random; use --workdir'
        )
    shape = (config.input.height, config.input.width, 3)
    model = build_model(config.model, num_classes=num_classes, input_shape=shape)
    return Member(model, config, step=0)


if __name__ == '__main__':
    command_line.run(main, parse=overrides.parse_flags)
