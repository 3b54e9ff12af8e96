r"""Makes a feature cache: what a backbone sees in every picture of a data set, once and for all.

On it the head alone learns, fusion and last layer, in minutes (docs/fusion.md):

  python -m trainer.features --workdir=run/workdir --data=run/shards --output=run/features
  python -m trainer.task --config=configs/tiny_products.py --data=run/features --workdir=run/head \
    --config.input.features=true --config.augment.flip=false

The backbone is that of a trained run (--workdir), or of a config with pretrained weights:

  python -m trainer.features --config=configs/kaggle_fused_views.py --data=DIR --output=DIR

The same command goes on where it was stopped. An --output of another backbone or other data is
refused. Train data have their copies and no augmentation. A picture of d features takes 2 d bytes.
"""

from typing import TYPE_CHECKING

from absl import flags

from catalog import command_line
from catalog.errors import UserError
from trainer import startup as tensorflow_start
from trainer.config import files as config_files
from trainer.config import overrides
from trainer.data import data_set

if TYPE_CHECKING:
    import keras

    from trainer.config import TrainConfig

_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run whose backbone it is.')
_CONFIG = flags.DEFINE_string('config', None, 'A file of configs/, with model.weights.')
_DATA = flags.DEFINE_string('data', None, 'The folder of the shards.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'The folder of the features.', required=True)


def main(argv: list[str]) -> None:
    """`argv`: the program, then the overrides of the config as `a.b=value`."""
    if (_WORKDIR.value is None) == (_CONFIG.value is None):
        raise UserError('--workdir or --config must be given, one of the two')
    if _WORKDIR.value and argv[1:]:
        raise UserError(f'--config.{argv[1]}: the config of a --workdir is as it was trained')
    data = data_set.open_data_set(_DATA.value)
    tensorflow_start.start()
    from trainer.features import cache as feature_cache  # TensorFlow takes seconds: not for --help

    model, config = _trained() if _WORKDIR.value else _pretrained(argv[1:], data.num_classes)
    source = feature_cache.write(model, config, data, output=_OUTPUT.value)
    print(
        f'written to {_OUTPUT.value}: {source.size} features a picture, of backbone '
        f'{source.model_sha256[:12]} and data {source.data_sha256[:12]}'
    )


def _trained() -> 'tuple[keras.Model, TrainConfig]':
    from trainer.workdir import checkpoint

    model, config, _ = checkpoint.restore_model(_WORKDIR.value)
    return model, config


def _pretrained(given: list[str], num_classes: int) -> 'tuple[keras.Model, TrainConfig]':
    from trainer.models.model import build_model

    config = config_files.load(_CONFIG.value, given)
    if config.model.weights is None:
        raise UserError('model.weights must be given, or --workdir: random weights see nothing')
    if config.model.head_channels:
        raise UserError(
            f'model.head_channels must be 0 with --config, got {config.model.head_channels}: it '
            'would stay random; take --workdir'
        )
    shape = (config.input.height, config.input.width, 3)
    return build_model(config.model, num_classes=num_classes, input_shape=shape), config


if __name__ == '__main__':
    command_line.run(main, parse=overrides.parse_flags)
