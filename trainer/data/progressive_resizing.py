"""The image size by step: small images first, which cost less.

The order of the examples does not depend on the size: a batch's number decides what it is decoded
to, so one iterator serves the entire run. Evaluation uses the last size.
Touvron et al., 2019, arXiv:1906.06423; Tan and Le, 2021, arXiv:2104.00298, section 4.2.
"""

import dataclasses
import functools

import tensorflow as tf

from trainer.config import InputConfig, SizeConfig
from trainer.data import preprocess
from trainer.data.preprocess import Decoded
from trainer.undecodable.decoding import decode_decodable


def stages(config: InputConfig) -> tuple[SizeConfig, ...]:
    """Returns all sizes in turn; the last one has no end."""
    last = SizeConfig(until_step=1 << 62, height=config.height, width=config.width)
    return (*config.sizes, last)


@functools.cache  # called for each call of the device; building a checked config takes 0.6 ms
def input_at(config: InputConfig, *, stage: SizeConfig) -> InputConfig:
    """Returns the config of a run that has no other size than that of a stage."""
    sizes = (stage,) if stage in config.sizes else ()
    return dataclasses.replace(config, height=stage.height, width=stage.width, sizes=sizes)


def stage_at(config: InputConfig, *, step: int) -> SizeConfig:
    """Returns the stage of a step, from 0."""
    return next(stage for stage in stages(config) if step < stage.until_step)


def steps_to_next(config: InputConfig, *, step: int) -> int:
    """Returns the number of steps before the size changes."""
    return stage_at(config, step=step).until_step - step


def decode(encoded: tf.Tensor, config: InputConfig, *, step: tf.Tensor | None) -> Decoded:
    """Decodes the pictures of a step: string [N], int64 [] -> uint8 [N, h, w, 3], bool [N].

    Args:
      encoded: The encoded pictures.
      config: All sizes of the run.
      step: The step, from 0; None decodes to the last size, for evaluation.

    Returns:
      The images, and whether each picture is decodable; the image of one that is not is white. The
      decoder `tensorflow` fails instead.
    """
    all_stages = stages(config)
    if len(all_stages) == 1 or step is None:
        return _decode(encoded, config, all_stages[-1])
    ends = tf.constant([stage.until_step for stage in config.sizes], tf.int64)
    number = tf.reduce_sum(tf.cast(step >= ends, tf.int32))
    images, decodable = tf.switch_case(
        number, [lambda stage=stage: _decode(encoded, config, stage) for stage in all_stages]
    )
    return tf.ensure_shape(images, [encoded.shape[0], None, None, 3]), decodable


def _decode(encoded: tf.Tensor, config: InputConfig, stage: SizeConfig) -> Decoded:
    height, width = stage.decoded

    def decode_batch(encoded: tf.Tensor) -> tf.Tensor:
        return preprocess.decode_batch(encoded, height=height, width=width, ratio=stage.ratio)

    def decode_any(encoded: tf.Tensor) -> Decoded:
        return decode_decodable(encoded, decode_batch, height=height, width=width)

    if config.decoder == 'tensorflow':
        return decode_batch(encoded), tf.ones(tf.shape(encoded), tf.bool)
    if stage.ratio > 1:
        return decode_any(encoded)
    return preprocess.decode_jpeg_batch(encoded, height=height, width=width, fallback=decode_any)
