"""Claims a workdir for a run, and saves and restores the state of all its workers together.

The chief saves what all workers share. All workers must be able to read it; otherwise the
checkpoint before it is used.
"""

import contextlib
from collections.abc import Callable, Iterator

from catalog import storage
from catalog.errors import UserError
from catalog.local_copies import tensorflow_paths
from catalog.model_folders import literal_path
from catalog.process.folder_lock import own_folder
from trainer import naming
from trainer.config import TrainConfig
from trainer.data.data_set import DataInfo, DataSet
from trainer.distribution.workers import Workers
from trainer.training.state import State
from trainer.workdir import checkpoint, run_files


def save(state: State, workdir: str, *, step: int, keep: int, workers: Workers) -> None:
    """Writes a checkpoint of all workers.

    Raises:
      UserError: If it cannot be written; the earlier ones are unchanged.
    """
    workers.wait()  # for the same step
    if workers.cluster.is_chief:
        checkpoint.save(state.checkpoint(), workdir, step=step, keep=keep)


def restore(state: State, workdir: str, *, workers: Workers) -> int:
    """Restores the newest checkpoint that every worker can read.

    Returns:
      Its step, or 0 if there is none.

    Raises:
      UserError: If there are checkpoints, but none can be read.
    """
    if workers.cluster.count == 1:
        return checkpoint.restore(state.checkpoint(), workdir) or 0
    while True:
        step = int(workers.value_of_chief(_newest(workdir) if workers.cluster.is_chief else 0))
        if not step:
            return 0
        if workers.all_true(checkpoint.read(state.checkpoint(), workdir, step=step)):
            return step
        if workers.cluster.is_chief:
            checkpoint.set_aside(workdir, step=step, reason='a worker cannot read it')


def _newest(workdir: str) -> int:
    steps = checkpoint.steps(workdir)
    if not steps:
        checkpoint.refuse_restart(workdir)
    return steps[0] if steps else 0


@contextlib.contextmanager
def own_workdir(workdir: str, *, workers: Workers) -> Iterator[Callable[[], None]]:
    """Owns a workdir for the duration of the block, so that one run at a time writes to it.

    The chief owns it, and the other workers wait for that.

    Yields:
      A function that checks, on an object store, that the workdir is still owned.

    Raises:
      UserError: If another process owns it, or TensorFlow cannot read from such a path.
    """
    tensorflow_paths.check_opened(workdir, flag='workdir')
    literal_path.check_readable(workdir)
    with contextlib.ExitStack() as stack:
        check: Callable[[], None] = _nothing
        if workers.cluster.is_chief:
            ownership = stack.enter_context(own_folder(workdir, owner='a training'))
            if storage.is_remote(workdir):  # a lease expires; what the kernel holds does not
                check = ownership.require
        workers.wait()
        yield check


def _nothing() -> None:
    pass


def claim_workdir(
    workdir: str, *, config: TrainConfig, data: DataSet, info: DataInfo, workers: Workers
) -> TrainConfig | None:
    """Makes a folder the workdir of a run, or checks that it is the workdir of this run.

    The chief writes; the other workers check that they see what it wrote.

    Until a run has saved its first checkpoint, the folder belongs to no run: a start that failed
    can be corrected.

    Returns:
      To the chief of a run that has begun, the config that it had; else None.

    Raises:
      UserError: If the workdir holds another run or other files, or the workers do not share the
        folder.
    """
    before = None
    if workers.cluster.is_chief:
        before = _write_or_check(workdir, config=config, data=data, info=info)
    workers.wait()
    if not workers.cluster.is_chief:
        if not storage.exists(storage.join(workdir, naming.CONFIG)):
            raise UserError(
                f'{workdir}: --workdir must be a folder that all workers share, worker '
                f'{workers.cluster.index} does not see the files of the chief'
            )
        _check(workdir, config=config, data=data)
    return before


def _write_or_check(
    workdir: str, *, config: TrainConfig, data: DataSet, info: DataInfo
) -> TrainConfig | None:
    has_config = storage.exists(storage.join(workdir, naming.CONFIG))
    before = None
    if _is_begun(workdir) and has_config:
        run_files.check_deterministic(config, workdir)
        _check(workdir, config=config, data=data)
        before = run_files.restore_config(workdir)
    elif not has_config and checkpoint.steps(workdir):
        raise UserError(
            f'{workdir}: a workdir with checkpoints must have a {naming.CONFIG}, got none; '
            'restore it from a copy, or take another --workdir'
        )
    else:
        run_files.check_no_other_files(workdir)
    run_files.save_info(info, data, workdir)
    run_files.save_config(config, workdir)  # last: it makes the folder a workdir
    return before


def _is_begun(workdir: str) -> bool:
    """Returns whether a run has saved weights in a workdir."""
    return any(map(checkpoint.ever_saved, (workdir, storage.join(workdir, naming.BEST))))


def _check(workdir: str, *, config: TrainConfig, data: DataSet) -> None:
    run_files.check_same_config(config, workdir)
    before = run_files.restore_info(workdir).digest
    if before != data.digest:
        raise UserError(
            f'{workdir}: a run must resume with its own data (manifest {before[:12]}), got '
            f'{data.folder} (manifest {data.digest[:12]}); take another --workdir'
        )
