"""Small runs that fuse views, and the predictions of their models without the trainer."""

import functools
import io
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from catalog import record
from catalog.formats import tfrecord
from trainer.config import files
from trainer.data.data_set import open_data_set
from trainer.inference.runs import restore_member
from trainer.training.loop import train
from trainer.workdir import metrics_file

_SIZE = 12  # pixels
_SMALL = (
    'batch_size=30',
    'total_steps=150',
    'log_every_steps=30',
    'checkpoint_every_steps=150',
    'steps_per_call=30',
    'model.channels=4',
    'model.dropout=0',
    'model.fusion.units=32',
    f'input.height={_SIZE}',
    f'input.width={_SIZE}',
    'optimizer.learning_rate=0.02',
    'optimizer.schedule.warmup_steps=10',
    'board.sample_pictures=2',
)


def run(folder: str, workdir: Path, *flags: str) -> list[dict[str, float]]:
    """Trains a run and returns its logged metrics."""
    config = files.load('configs/tiny.py', [*_SMALL, *flags])
    train(config, open_data_set(folder), str(workdir))
    return metrics_file.read_metrics(str(workdir))


def products(folder: str) -> list[record.Record]:
    """Returns the products of the validation split."""
    records = []
    for path in open_data_set(folder).paths('validation'):
        with open(path, 'rb') as file:
            records += [record.decode(serialized) for serialized in tfrecord.read(file)]
    return records


@functools.cache
def _model(workdir: Path) -> keras.Model:
    return restore_member(str(workdir))[0].model


def pixels(pictures: Sequence[bytes]) -> np.ndarray:
    """Returns decoded pictures as the model takes them: float32 [N, H, W, 3]."""
    images = np.stack([Image.open(io.BytesIO(data)) for data in pictures])
    return images.astype(np.float32) / 127.5 - 1


def probabilities(workdir: Path, pictures: Sequence[bytes]) -> np.ndarray:
    """Computes the probabilities of a product from its views: float64 [C]."""
    images = keras.ops.array(pixels(pictures))
    mask = keras.ops.ones([1, len(pictures)], bool)
    logits = _model(workdir)([images, mask], training=False).numpy().astype(np.float64)[0]
    return np.exp(logits) / np.exp(logits).sum()
