"""The state of a run on disk, whole or not at all.

`workdir/checkpoints/ckpt-00001000.index` and `.data-…` are TensorFlow's; `ckpt-00001000.json`,
written last, makes them a checkpoint. There is no pointer to lose: the newest whole one counts.
`workdir/config.json` holds the config, `workdir/data.json` what the run remembers of its data.
"""

import json

import keras
import tensorflow as tf

from catalog import storage
from catalog.errors import UserError
from trainer import config as configs
from trainer import data_set
from trainer.config import TrainConfig
from trainer.data_set import DataInfo
from trainer.model import build_model

FOLDER = 'checkpoints'


def _path(workdir: str, step: int) -> str:
    return storage.join(workdir, FOLDER, f'ckpt-{step:08d}')


def steps(workdir: str) -> list[int]:
    """The steps of the whole checkpoints in a workdir, newest first."""
    names = storage.list_files(storage.join(workdir, FOLDER))
    marked = [name for name in names if name.startswith('ckpt-') and name.endswith('.json')]
    return sorted((int(name[len('ckpt-') : -len('.json')]) for name in marked), reverse=True)


def save(state: tf.train.Checkpoint, workdir: str, *, step: int, keep: int) -> None:
    """Writes a checkpoint, then deletes the oldest beyond `keep`."""
    path = _path(workdir, step)
    tf.io.gfile.makedirs(storage.join(workdir, FOLDER))
    state.write(path)
    storage.write_bytes(f'{path}.json', json.dumps({'step': step}).encode())
    del keep


def restore(state: tf.train.Checkpoint, workdir: str) -> int | None:
    """Restores the newest checkpoint; its step, or None if there is none."""
    for step in steps(workdir):
        state.read(_path(workdir, step)).assert_existing_objects_matched()
        return step
    return None


def restore_model(workdir: str) -> tuple[keras.Model, TrainConfig, DataInfo]:
    """The model of a workdir with its newest weights, its config, and what it knows of its data.

    Raises:
      UserError: if the workdir has no checkpoint.
    """
    config = configs.restore(workdir)
    info = data_set.restore_info(workdir)
    model = build_model(
        config.model,
        num_classes=info.num_classes,
        input_shape=(config.input.height, config.input.width, 3),
    )
    if restore(tf.train.Checkpoint(model=model), workdir) is None:
        raise UserError(f'{workdir}: there is no checkpoint yet; trainer.task writes them')
    return model, config, info
