"""The input pipeline of this project and its parts, as contenders of `input_contenders`."""

import itertools
from pathlib import Path
from typing import Any

from benchmarks import input_memory
from benchmarks.input_memory import BATCH, SIDE, Counts


def _ours(
    folder: Path,
    *,
    kind: str = 'product',
    shuffle_records: int = 1024,
    decoder: Any = 'simplejpeg',
    device: str = 'none',
) -> Counts:
    import tensorflow as tf

    from trainer.augmentation.pictures import augment
    from trainer.augmentation.random_numbers import draw
    from trainer.config import InputConfig, TrainConfig
    from trainer.data import preprocess
    from trainer.data.batches import train_batches
    from trainer.data.data_set import open_data_set
    from trainer.data.examples import batch_spec

    config = TrainConfig(
        batch_size=BATCH,
        total_steps=1,
        input=InputConfig(
            height=SIDE, width=SIDE, shuffle_records=shuffle_records, decoder=decoder
        ),
    )

    batches = iter(train_batches(open_data_set(str(folder / kind)), batch_spec(config)))
    normalize = tf.function(preprocess.normalize, jit_compile=True)  # as in the train step

    def one_step(step: tf.Tensor, seen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Does the work of a train step before the model, including its draws."""
        images = next(batches)['image']
        if device != 'none':
            seed = tf.stack([tf.constant(config.seed, tf.int64), step])
            draws = draw(BATCH, seed=seed, config=config.augment)
            images = augment(images, draws, config.augment)
        if device == 'floats':
            images = normalize(images, config.model)
        return step + 1, seen + tf.cast(images[0, 0, 0, 0], tf.float32)

    @tf.function(autograph=False)
    def take(first: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Runs several steps per call, as the training loop does."""
        last = first + config.steps_per_call
        return tf.while_loop(lambda step, _: step < last, one_step, [first, tf.constant(0.0)])

    step = tf.constant(0, tf.int64)
    while True:
        step, _ = take(step)
        yield config.steps_per_call * BATCH


def ours_uint8(folder: Path, cores: int) -> Counts:
    """uint8 batches from product records, with a shuffle buffer of 1,024 records."""
    return _ours(folder)


def ours_in_graph(folder: Path, cores: int) -> Counts:
    """As `ours_uint8`, with TensorFlow's decoder."""
    return _ours(folder, decoder='tensorflow')


def ours_picture_records(folder: Path, cores: int) -> Counts:
    """As `ours_uint8`, from picture records."""
    return _ours(folder, kind='image')


def ours_flip_shuffle(folder: Path, cores: int) -> Counts:
    """As `ours_uint8`, with a shuffle buffer of 10,000 records, and flipped."""
    return _ours(folder, shuffle_records=10_000, device='flip')


def ours_floats(folder: Path, cores: int) -> Counts:
    """As `ours_flip_shuffle`, and normalized to floats."""
    return _ours(folder, shuffle_records=10_000, device='floats')


def ours_decoding(folder: Path, cores: int) -> Counts:
    """The decoding of `ours_uint8`: bytes in memory to batches."""
    import tensorflow as tf

    from trainer.config import InputConfig
    from trainer.data import progressive_resizing

    @tf.function(input_signature=[tf.TensorSpec([BATCH], tf.string)])
    def take(encoded: tf.Tensor) -> tf.Tensor:
        config = InputConfig(height=SIDE, width=SIDE)
        images, _ = progressive_resizing.decode(encoded, config, step=None)
        return images

    pictures = [picture for picture, _ in input_memory.pictures(folder)]
    starts = range(0, len(pictures) - BATCH + 1, BATCH)
    batches = [tf.constant(pictures[start : start + BATCH]) for start in starts]
    for batch in itertools.cycle(batches):
        yield len(take(batch))


def ours_without_decoding(folder: Path, cores: int) -> Counts:
    """`ours_uint8` without decoding: reads, checks, parses and shuffles records to batches."""
    from trainer.config import InputConfig, TrainConfig
    from trainer.data.batches import encoded_batches
    from trainer.data.data_set import open_data_set
    from trainer.data.examples import batch_spec
    from trainer.data.sources import train_source

    size = InputConfig(height=SIDE, width=SIDE, shuffle_records=1024)
    config = TrainConfig(batch_size=BATCH, total_steps=1, input=size)
    data = open_data_set(str(folder / 'product'))
    source = train_source(data, size)
    for batch in encoded_batches(data, batch_spec(config), source=source).prefetch(2):
        yield len(batch['encoded'])
