"""A mirror of TensorBoard at Weights & Biases, by its own sync of event files.

Needs the extra `wandb`. Open it before the event files are: the sync hooks their making.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any, Literal

from catalog import storage
from catalog.errors import UserError
from trainer.monitoring import metric_writers as boards
from trainer.config import BoardConfig


@contextlib.contextmanager
def open_mirror(workdir: str, config: BoardConfig, *, silent: bool) -> Iterator[None]:
    """Mirrors what TensorBoard is told while the block runs.

    Raises:
      UserError: if the package is not installed, the workdir is remote, or wandb refuses.
    """
    if config.wandb == 'off' or silent:
        yield
        return
    run = _start(workdir, config.wandb, project=config.wandb_project)
    try:
        yield
    finally:
        run.finish()


def _start(workdir: str, mode: Literal['offline', 'online'], *, project: str) -> Any:
    if storage.is_remote(workdir):
        raise UserError(f'board.wandb must be off where --workdir is remote, got {workdir}')
    try:
        import wandb
        from wandb.integration import tensorboard as sync
    except ImportError as error:
        raise UserError(
            f"board.wandb={mode} needs the package wandb: pip install -c constraints.txt '.[wandb]'"
        ) from error
    sync.patch(root_logdir=storage.join(workdir, boards.FOLDER))
    try:
        return wandb.init(
            project=project,
            id=hashlib.sha256(workdir.encode()).hexdigest()[:16],  # a run that goes on is the same
            resume='allow' if mode == 'online' else None,
            mode=mode,
            dir=workdir,
            settings=wandb.Settings(silent=True),
        )
    except wandb.Error as error:
        reason = str(error).splitlines()[0]
        raise UserError(f'board.wandb={mode} must be able to start: {reason}') from error
