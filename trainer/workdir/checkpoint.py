"""The state of a run on disk, whole or not at all.

`workdir/checkpoints/ckpt-00001000.data-…` and `ckpt-00001000.index` are TensorFlow's. They are
written under a temporary name; the index is renamed last and makes them a checkpoint. There is no
pointer file to lose: the newest one that can be read counts (TensorFlow keeps a CRC of every
tensor), and one that cannot be read is set aside as `.damaged`. Of several workers the chief writes
these; the others' iterators are in `worker-1-ckpt-00001000.…` beside them. `workdir/config.json`
holds the config, `workdir/data.json` what the run remembers of its data.
"""

import dataclasses
import sys

import keras
import tensorflow as tf

from catalog import categories, storage
from catalog.errors import UserError
from trainer import naming
from trainer.config import TrainConfig
from trainer.data.data_set import DataInfo
from trainer.models.model import build_model
from trainer.optim import ema
from trainer.workdir import run_files

_PREFIX = 'ckpt-'
_PARTIAL = 'partial-'
_INDEX = '.index'
_TROUBLE = (  # of the storage, not of the file; anything else that a reader raises is damage
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.PermissionDeniedError,
    tf.errors.ResourceExhaustedError,
    tf.errors.UnavailableError,
)


def steps(workdir: str) -> list[int]:
    """The steps of the checkpoints in a workdir, newest first."""
    names = _names(workdir)
    found = [name for name in names if name.startswith(_PREFIX) and name.endswith(_INDEX)]
    return sorted((int(name[len(_PREFIX) : -len(_INDEX)]) for name in found), reverse=True)


def _names(workdir: str) -> list[str]:
    return storage.list_files(storage.join(workdir, naming.CHECKPOINTS))


def _name(step: int) -> str:
    return f'{_PREFIX}{step:08d}'


def _path(workdir: str, name: str) -> str:
    return storage.join(workdir, naming.CHECKPOINTS, name)


def save(state: tf.train.Checkpoint, workdir: str, *, step: int, keep: int) -> None:
    """Writes a checkpoint, then deletes the oldest beyond `keep`.

    Raises:
      UserError: if it cannot be written; those before are as they were.
    """
    _write(state, workdir, name=_name(step), partial=_PARTIAL)
    for old in steps(workdir)[keep:]:
        _delete(workdir, _name(old))


def save_best(state: tf.train.Checkpoint, workdir: str, *, step: int) -> None:
    """Keeps the state of the best evaluation in `workdir/best`, which can be evaluated and exported
    like a workdir. The iterator is not in it: no run goes on from there.

    Raises:
      UserError: if it cannot be written; the one before is as it was.
    """
    best = storage.join(workdir, naming.BEST)
    for name in (naming.CONFIG, naming.DATA, categories.FILE_NAME):
        content = storage.read_bytes(storage.join(workdir, name))
        storage.write_bytes(storage.join(best, name), content)
    for later in (found for found in steps(best) if found >= step):
        _delete(best, _name(later))  # of a run that was cut off after it
    save(state, best, step=step, keep=1)


def save_part(state: tf.train.Checkpoint, workdir: str, *, step: int, worker: int) -> None:
    """Writes what a worker other than the chief adds to a checkpoint that the chief then writes.

    Raises:
      UserError: if it cannot be written.
    """
    _write(state, workdir, name=_part(step, worker), partial=f'worker-{worker}-{_PARTIAL}')


def _part(step: int, worker: int) -> str:
    return f'worker-{worker}-{_name(step)}'


def _write(state: tf.train.Checkpoint, workdir: str, *, name: str, partial: str) -> None:
    tf.io.gfile.makedirs(storage.join(workdir, naming.CHECKPOINTS))
    _sweep(workdir, partial)
    try:
        state.write(_path(workdir, partial + name))
    except tf.errors.OpError as error:
        _sweep(workdir, partial)
        raise UserError(
            f'{_path(workdir, name)}: must be written, got: {error.message}; '
            'the checkpoints before it are whole'
        ) from error
    mine = [file for file in _names(workdir) if file.startswith(f'{partial}{name}.')]
    for file in sorted(mine):  # .data-… before .index
        storage.rename(_path(workdir, file), _path(workdir, file.removeprefix(partial)))


def _sweep(workdir: str, partial: str) -> None:
    """Deletes what a run that was killed while saving has left."""
    for path in tf.io.gfile.glob(_path(workdir, f'{partial}*')):
        if tf.io.gfile.isdir(path):
            tf.io.gfile.rmtree(path)
        else:
            tf.io.gfile.remove(path)


def _delete(workdir: str, name: str) -> None:
    mine = [other for other in _names(workdir) if f'{name}.' in other]  # the workers' parts too
    for file in sorted(mine, reverse=True):  # .index before .data-…
        storage.delete(_path(workdir, file))


def restore(state: tf.train.Checkpoint, workdir: str) -> int | None:
    """Restores the newest whole checkpoint; its step, or None if there never was one.

    Raises:
      UserError: if there are checkpoints, but none can be read: a run never starts again at step 0
        by accident.
    """
    for step in steps(workdir):
        if read(state, workdir, step=step):
            return step
        set_aside(workdir, step=step, reason='it cannot be read')
    refuse_to_start_again(workdir)
    return None


def read(state: tf.train.Checkpoint, workdir: str, *, step: int) -> bool:
    """Restores the checkpoint of a step; False if it is damaged."""
    return _read(state, _path(workdir, _name(step)))


def read_part(state: tf.train.Checkpoint, workdir: str, *, step: int, worker: int) -> bool:
    """Restores what `save_part` wrote; False if it is damaged."""
    return _read(state, _path(workdir, _part(step, worker)))


def _read(state: tf.train.Checkpoint, path: str) -> bool:
    try:
        found = state.read(path)
        found.assert_existing_objects_matched()
        found.expect_partial()  # a model alone leaves the optimizer's state in the file
    except _TROUBLE:
        raise
    except (tf.errors.OpError, IndexError):  # the latter for a file that is cut
        return False
    return True


def set_aside(workdir: str, *, step: int, reason: str) -> None:
    """Makes a checkpoint none: its files stay, under another name."""
    path = _path(workdir, _name(step))
    storage.rename(path + _INDEX, f'{path}{_INDEX}.damaged')
    print(f'warning: {path} is damaged and set aside: {reason}', file=sys.stderr)


def refuse_to_start_again(workdir: str) -> None:
    """Checks that a workdir without a checkpoint never had one.

    Raises:
      UserError: if it had: a run never starts again at step 0 by accident.
    """
    if any(name.startswith(_PREFIX) for name in _names(workdir)):
        raise UserError(
            f'{storage.join(workdir, naming.CHECKPOINTS)}: a checkpoint must be whole, none of '
            'these is; bring one back, or take another --workdir'
        )


def restore_model(workdir: str) -> tuple[keras.Model, TrainConfig, DataInfo]:
    """The model of a workdir, its config, and what it knows of its data.

    The weights are the newest, or their means where the run keeps them.

    Raises:
      UserError: if the workdir has no checkpoint.
    """
    config = run_files.restore_config(workdir)
    info = run_files.restore_info(workdir)
    model = build_model(
        dataclasses.replace(config.model, weights=None),  # the checkpoint holds them all
        num_classes=info.num_classes,
        input_shape=(config.input.height, config.input.width, 3),
    )
    means = ema.create_averages(model) if config.step.ema_decay else []
    if restore(tf.train.Checkpoint(model=model, means=means), workdir) is None:
        raise UserError(f'{workdir}: there is no checkpoint yet; trainer.task writes them')
    if means:
        ema.copy_to_model(means, model)
    return model, config, info
