"""Checkpoints of a run, written atomically.

`workdir/checkpoints/ckpt-00001000.data-…` and `ckpt-00001000.index` are TensorFlow's files. They
are written under a temporary name and renamed, the index last, which makes them a checkpoint. There
is no pointer file: the newest checkpoint that can be read is used (TensorFlow keeps a CRC of every
tensor). A run that resumes renames one that cannot be read to `.damaged`; commands that only read a
workdir pass over it. The chief writes these files.
"""

import contextlib
import re
import sys

import tensorflow as tf

from catalog import categories, storage
from catalog.errors import UserError
from catalog.model_folders.literal_path import literal_path
from trainer import naming

_PREFIX = 'ckpt-'
_PARTIAL = 'partial-'
_INDEX = '.index'
_NEW_PARTS = frozenset({'pictures', 'machines'})
_STORAGE_ERRORS = (  # anything else that a reader raises means a damaged file
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.PermissionDeniedError,
    tf.errors.ResourceExhaustedError,
    tf.errors.UnavailableError,
)


def steps(workdir: str) -> list[int]:
    """Returns the steps of the checkpoints in a workdir, newest first."""
    indexes = [
        name for name in _names(workdir) if name.startswith(_PREFIX) and name.endswith(_INDEX)
    ]
    return sorted((int(name[len(_PREFIX) : -len(_INDEX)]) for name in indexes), reverse=True)


def ever_saved(workdir: str) -> bool:
    """Returns whether a workdir has, or had, a checkpoint, intact or damaged."""
    return any(name.startswith(_PREFIX) for name in _names(workdir))


def _names(workdir: str) -> list[str]:
    return storage.list_files(storage.join(workdir, naming.CHECKPOINTS))


def _name(step: int) -> str:
    return f'{_PREFIX}{step:08d}'


def _path(workdir: str, name: str) -> str:
    return storage.join(workdir, naming.CHECKPOINTS, name)


def save(state: tf.train.Checkpoint, workdir: str, *, step: int, keep: int) -> None:
    """Writes a checkpoint, then deletes the oldest beyond `keep`.

    Raises:
      UserError: If it cannot be written; the earlier ones are unchanged.
    """
    _write(state, workdir, name=_name(step))
    for old in steps(workdir)[keep:]:
        _delete(workdir, _name(old))


def save_best(state: tf.train.Checkpoint, workdir: str, *, step: int) -> None:
    """Writes the state of the best evaluation to `workdir/best`.

    The folder can be evaluated and exported like a workdir.

    Raises:
      UserError: If it cannot be written; the one before is unchanged.
    """
    best = storage.join(workdir, naming.BEST)
    for name in (naming.CONFIG, naming.DATA, categories.FILE_NAME):
        content = storage.read_bytes(storage.join(workdir, name))
        storage.write_bytes(storage.join(best, name), content)
    for later in (other for other in steps(best) if other >= step):
        _delete(best, _name(later))  # the run was stopped after it and resumed before it
    save(state, best, step=step, keep=1)


def _write(state: tf.train.Checkpoint, workdir: str, *, name: str) -> None:
    try:
        tf.io.gfile.makedirs(storage.join(workdir, naming.CHECKPOINTS))
        _sweep(workdir)
        state.write(_path(workdir, _PARTIAL + name))
    except tf.errors.OpError as error:
        with contextlib.suppress(tf.errors.OpError):
            _sweep(workdir)
        raise UserError(
            f'{_path(workdir, name)}: must be writable, got: {_reason(error)}; '
            'free space or choose another folder; the earlier checkpoints are intact'
        ) from error
    written = [file for file in _names(workdir) if file.startswith(f'{_PARTIAL}{name}.')]
    for file in sorted(written):  # .data-… before .index
        storage.rename(_path(workdir, file), _path(workdir, file.removeprefix(_PARTIAL)))


def _reason(error: tf.errors.OpError) -> str:
    """Returns the message of an error without the operation of TensorFlow that raised it."""
    return re.sub(r'\{\{.*?\}\} ?| ?\[Op:\w*\]', '', error.message).strip()


def _sweep(workdir: str) -> None:
    """Deletes the files that a run left when it was killed while saving."""
    folder = storage.join(workdir, naming.CHECKPOINTS)
    try:
        names = tf.io.gfile.listdir(folder)  # not glob: a workdir may have wildcards in its path
    except tf.errors.NotFoundError:  # a store without empty folders
        return
    for name in names:
        path = storage.join(folder, name.rstrip('/'))
        if not name.startswith(_PARTIAL):
            continue
        if tf.io.gfile.isdir(path):
            tf.io.gfile.rmtree(path)
        else:
            tf.io.gfile.remove(path)


def _delete(workdir: str, name: str) -> None:
    files = [file for file in _names(workdir) if f'{name}.' in file]  # with the workers' parts
    for file in sorted(files, reverse=True):  # .index before .data-…
        storage.delete(_path(workdir, file))


def restore(state: tf.train.Checkpoint, workdir: str) -> int | None:
    """Restores the newest intact checkpoint for a run that resumes; renames damaged ones.

    Returns:
      Its step, or None if there never was a checkpoint.

    Raises:
      UserError: If there are checkpoints, but none can be read: a run never restarts at step 0 by
        accident.
    """
    for step in steps(workdir):
        if read(state, workdir, step=step):
            return step
        set_aside(workdir, step=step, reason='it cannot be read')
    refuse_restart(workdir)
    return None


def read_newest(state: tf.train.Checkpoint, workdir: str) -> int | None:
    """Restores the newest intact checkpoint and changes nothing in the workdir.

    The run may still train: a checkpoint may appear, or be deleted, at any time.

    Returns:
      The step of the checkpoint that was read, or None if there is none.

    Raises:
      UserError: If there are checkpoints, but none can be read.
    """
    tried: set[int] = set()
    while untried := [step for step in steps(workdir) if step not in tried]:
        if read(state, workdir, step=untried[0]):
            return untried[0]
        tried.add(untried[0])
        path = _path(workdir, _name(untried[0]))
        earlier = [step for step in untried[1:] if step not in tried]
        rest = f'; trying the one of step {earlier[0]:,}' if earlier else ''
        print(f'warning: {path} cannot be read{rest}', file=sys.stderr)
    refuse_restart(workdir)
    return None


def read(state: tf.train.Checkpoint, workdir: str, *, step: int) -> bool:
    """Restores the checkpoint of a step; returns False if it is damaged."""
    return _read(state, _path(workdir, _name(step)))


def _read(state: tf.train.Checkpoint, path: str) -> bool:
    try:
        with literal_path(path) as readable:
            _without_new_parts(state, readable)
            status = state.read(readable)
            status.expect_partial()  # a model without optimizer leaves its state in the file unread
            status.assert_existing_objects_matched()
    except _STORAGE_ERRORS:
        raise
    except AssertionError as error:
        raise UserError(
            f'{path}: must hold the weights and the state that this version expects; another '
            f'version of trainer.task wrote it (TensorFlow: {_first_line(error)})'
        ) from error
    except tf.errors.NotFoundError as error:
        if _is_complete(path):  # no damage: the reader's own trouble
            raise UserError(
                f'{path}: TensorFlow cannot read it although its files exist: {_reason(error)}'
            ) from error
        return False
    except (tf.errors.OpError, IndexError):  # the latter for a truncated file
        return False
    return True


def _is_complete(path: str) -> bool:
    """Returns whether a checkpoint has an index and all of its data files."""
    folder, name = path.rsplit('/', 1)
    files = storage.list_files(folder)
    data = [file for file in files if file.startswith(f'{name}.data-')]
    return f'{name}{_INDEX}' in files and bool(data) and len(data) == int(data[0][-5:])


def _first_line(error: BaseException) -> str:
    return str(error).strip().split('\n')[0]


def _without_new_parts(state: tf.train.Checkpoint, path: str) -> None:
    """Removes from `state` what a checkpoint of an earlier version lacks: it keeps its value."""
    saved = {name.split('/')[0] for name, _ in tf.train.list_variables(path)}
    for part in _NEW_PARTS - saved:
        if hasattr(state, part):
            delattr(state, part)


def set_aside(workdir: str, *, step: int, reason: str) -> None:
    """Renames a damaged checkpoint, so that it no longer counts; its files are kept."""
    path = _path(workdir, _name(step))
    storage.rename(path + _INDEX, f'{path}{_INDEX}.damaged')
    print(f'warning: {path} is damaged and renamed to .damaged: {reason}', file=sys.stderr)


def refuse_restart(workdir: str) -> None:
    """Checks that a workdir without an intact checkpoint never had one.

    Raises:
      UserError: If it had one: a run never restarts at step 0 by accident.
    """
    if ever_saved(workdir):
        raise UserError(
            f'{storage.join(workdir, naming.CHECKPOINTS)}: at least one checkpoint must be intact, '
            'none is; restore one from a copy, or take another --workdir'
        )
