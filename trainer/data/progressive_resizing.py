"""The size of the pictures by step: small ones first, which cost less.

The order of the pictures is that of a run of one size; what a step decodes them to is asked by the
number of its batch, so one iterator, and its checkpoint, lasts for the whole run. Evaluation takes
the last size throughout. Touvron et al., 2019, arXiv:1906.06423; Tan and Le, 2021,
arXiv:2104.00298, section 4.2.
"""

import dataclasses
import functools

import tensorflow as tf

from trainer.config import InputConfig, TrainConfig
from trainer.config.input import SizeConfig
from trainer.data import preprocess


def stages(config: InputConfig) -> tuple[SizeConfig, ...]:
    """All sizes in turn, the last without end."""
    last = SizeConfig(until_step=1 << 62, height=config.height, width=config.width)
    return (*config.sizes, last)


def at(config: TrainConfig, *, done: int) -> TrainConfig:
    """The config of a run after so many steps: as if it had no other size than that of then."""
    return _of(config, next(stage for stage in stages(config.input) if done < stage.until_step))


@functools.cache  # asked at each call of the device; to make a config checks it, 0.6 ms
def _of(config: TrainConfig, stage: SizeConfig) -> TrainConfig:
    size = dataclasses.replace(config.input, height=stage.height, width=stage.width, sizes=())
    return dataclasses.replace(config, input=size)


def steps_to_next(config: InputConfig, *, done: int) -> int:
    """Steps that may be taken before the size changes."""
    return next(stage.until_step - done for stage in stages(config) if done < stage.until_step)


def decode(encoded: tf.Tensor, config: InputConfig, *, step: tf.Tensor | None) -> tf.Tensor:
    """The pictures of a step, None for evaluation: string [N], int64 [] -> uint8 [N, h, w, 3]."""

    found = stages(config)
    if len(found) == 1 or step is None:
        return _decode(encoded, config, found[-1])
    ends = tf.constant([stage.until_step for stage in config.sizes], tf.int64)
    number = tf.reduce_sum(tf.cast(step >= ends, tf.int32))
    images = tf.switch_case(
        number, [lambda stage=stage: _decode(encoded, config, stage) for stage in found]
    )
    return tf.ensure_shape(images, [encoded.shape[0], None, None, 3])


def _decode(encoded: tf.Tensor, config: InputConfig, stage: SizeConfig) -> tf.Tensor:
    def in_graph(encoded: tf.Tensor) -> tf.Tensor:
        return preprocess.decode_batch(
            encoded, height=stage.height, width=stage.width, ratio=stage.ratio
        )

    if config.decoder == 'tensorflow' or stage.ratio > 1:
        return in_graph(encoded)
    return preprocess.decode_jpeg_batch(
        encoded, height=stage.height, width=stage.width, otherwise=in_graph
    )
