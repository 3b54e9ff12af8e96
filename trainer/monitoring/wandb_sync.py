"""Syncs TensorBoard's event files to Weights & Biases. Needs the extra `wandb`."""

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any, Literal

from catalog import storage
from catalog.errors import UserError
from trainer.config import BoardConfig
from trainer.monitoring.event_folder import event_folder


@contextlib.contextmanager
def sync_to_wandb(workdir: str, config: BoardConfig, *, silent: bool) -> Iterator[None]:
    """Syncs the events that are written in the block; enter it before they are opened.

    wandb hooks the creation of TensorBoard's writers.

    Raises:
      UserError: If the package is not installed, the workdir is remote, or wandb does not start.
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
        raise UserError(f'board.wandb must be off if --workdir is remote, got {workdir}')
    try:
        import wandb
        from wandb.integration import tensorboard
    except ImportError as error:
        raise UserError(
            f"board.wandb={mode} needs the package wandb: pip install -c constraints.txt '.[wandb]'"
        ) from error
    tensorboard.patch(root_logdir=event_folder(workdir))
    try:
        return wandb.init(
            project=project,
            id=hashlib.sha256(workdir.encode()).hexdigest()[:16],  # the same for a resumed run
            resume='allow' if mode == 'online' else None,
            mode=mode,
            dir=workdir,
            settings=wandb.Settings(silent=True),
        )
    except wandb.Error as error:
        reason = str(error).splitlines()[0]
        raise UserError(f'board.wandb={mode} could not start: {reason}') from error
