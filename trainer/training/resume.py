"""The state of all workers, saved and restored together. What a checkpoint is: `checkpoint`.

The chief saves what all workers share. Every other worker saves its own iterator first, so that
a checkpoint that is there is whole; all must be able to read it, or the one before is taken.

Makes a workdir one run's own, and keeps every other run out of it.
"""

import tensorflow as tf

from catalog import storage
from catalog.errors import UserError
from trainer import naming
from trainer.config import TrainConfig
from trainer.data import sampling
from trainer.data.data_set import DataSet
from trainer.distribution.workers import Workers
from trainer.training.state import State
from trainer.workdir import checkpoint, run_files


def save(state: State, workdir: str, *, step: int, keep: int, workers: Workers) -> None:
    """Writes a checkpoint of all workers.

    Raises:
      UserError: if it cannot be written; those before are as they were.
    """
    cluster = workers.cluster
    if not cluster.is_chief:
        checkpoint.save_part(_own(state), workdir, step=step, worker=cluster.index)
    workers.wait()
    if cluster.is_chief:
        checkpoint.save(state.checkpoint(), workdir, step=step, keep=keep)


def restore(state: State, workdir: str, *, workers: Workers) -> int:
    """Restores the newest checkpoint that every worker can read; its step, 0 if there is none.

    Raises:
      UserError: if there are checkpoints, but none can be read.
    """
    if workers.cluster.count == 1:
        return checkpoint.restore(state.checkpoint(), workdir) or 0
    while True:
        step = int(workers.chiefs(_newest(workdir) if workers.cluster.is_chief else 0))
        if not step:
            return 0
        if workers.all(_read(state, workdir, step=step, workers=workers)):
            return step
        if workers.cluster.is_chief:
            checkpoint.set_aside(workdir, step=step, reason='a worker cannot read it')


def _newest(workdir: str) -> int:
    found = checkpoint.steps(workdir)
    if not found:
        checkpoint.refuse_to_start_again(workdir)
    return found[0] if found else 0


def _read(state: State, workdir: str, *, step: int, workers: Workers) -> bool:
    cluster = workers.cluster
    if cluster.is_chief:
        return checkpoint.read(state.checkpoint(), workdir, step=step)
    return checkpoint.read(state.shared_checkpoint(), workdir, step=step) and checkpoint.read_part(
        _own(state), workdir, step=step, worker=cluster.index
    )


def _own(state: State) -> tf.train.Checkpoint:
    return tf.train.Checkpoint(iterator=state.iterator)


def claim(workdir: str, *, config: TrainConfig, data: DataSet, workers: Workers) -> None:
    """Claims a workdir: the chief first, then the others, who must see what it wrote.

    Raises:
      UserError: if the workdir holds another run, or the workers do not share it.
    """
    if workers.cluster.is_chief:
        _claim(workdir, config=config, data=data)
    workers.wait()
    if not workers.cluster.is_chief:
        if not storage.exists(storage.join(workdir, naming.CONFIG)):
            raise UserError(
                f'{workdir}: --workdir must be a folder that all workers share, worker '
                f'{workers.cluster.index} does not find there what the chief wrote'
            )
        _check(workdir, config=config, data=data)


def _claim(workdir: str, *, config: TrainConfig, data: DataSet) -> None:
    if storage.exists(storage.join(workdir, naming.CONFIG)):
        _check(workdir, config=config, data=data)
    elif checkpoint.steps(workdir):
        raise UserError(
            f'{workdir}: a workdir with checkpoints must have a {naming.CONFIG}, got none; '
            'bring it back, or take another --workdir'
        )
    run_files.save_info(sampling.data_info(data, config), data, workdir)
    run_files.save_config(config, workdir)  # last: it makes the folder a workdir


def _check(workdir: str, *, config: TrainConfig, data: DataSet) -> None:
    run_files.check_resumable(config, workdir)
    before = run_files.restore_info(workdir).digest
    if before != data.digest:
        raise UserError(
            f'{workdir}: a run must go on with the data it began with (manifest {before[:12]}),'
            f' got {data.folder} (manifest {data.digest[:12]}); take another --workdir'
        )
