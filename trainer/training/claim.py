"""Makes a workdir one run's own, and keeps every other run out of it."""

from catalog import storage
from catalog.errors import UserError
from trainer.workdir import checkpoint
from trainer.data import data_set
from trainer.config import files as configs
from trainer.config import TrainConfig
from trainer.data.data_set import DataSet
from trainer.distribution.workers import Workers


def claim(workdir: str, *, config: TrainConfig, data: DataSet, workers: Workers) -> None:
    """Claims a workdir: the chief first, then the others, who must see what it wrote.

    Raises:
      UserError: if the workdir holds another run, or the workers do not share it.
    """
    if workers.cluster.is_chief:
        _claim(workdir, config=config, data=data)
    workers.wait()
    if not workers.cluster.is_chief:
        if not storage.exists(storage.join(workdir, configs.FILE_NAME)):
            raise UserError(
                f'{workdir}: --workdir must be a folder that all workers share, worker '
                f'{workers.cluster.index} does not find there what the chief wrote'
            )
        _check(workdir, config=config, data=data)


def _claim(workdir: str, *, config: TrainConfig, data: DataSet) -> None:
    if storage.exists(storage.join(workdir, configs.FILE_NAME)):
        _check(workdir, config=config, data=data)
    elif checkpoint.steps(workdir):
        raise UserError(
            f'{workdir}: a workdir with checkpoints must have a {configs.FILE_NAME}, got none; '
            'bring it back, or take another --workdir'
        )
    data_set.save_info(data, workdir, config)
    configs.save(config, workdir)  # last: it makes the folder a workdir


def _check(workdir: str, *, config: TrainConfig, data: DataSet) -> None:
    configs.check_resumable(config, workdir)
    before = data_set.restore_info(workdir).digest
    if before != data.digest:
        raise UserError(
            f'{workdir}: a run must go on with the data it began with (manifest {before[:12]}),'
            f' got {data.folder} (manifest {data.digest[:12]}); take another --workdir'
        )
