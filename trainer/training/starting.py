"""Gives a run the weights of another one. Which: `start_config`."""

import re

import keras

from catalog.errors import UserError
from trainer.optim import ema as averages
from trainer.workdir import checkpoint
from trainer.optim import groups
from trainer.config.start_config import StartConfig
from trainer.training.step import State


def take_weights(state: State, config: StartConfig) -> None:
    """Takes the weights that the config names; their means begin there too.

    Raises:
      UserError: if the workdir has no checkpoint, the pattern fits no weight, or the other run has
        none of a path and shape that it fits.
    """
    if config.workdir is None:
        return
    source, _, _ = checkpoint.restore_model(config.workdir)
    _take(state.model, source, config)
    averages.restart(state.means, state.model)


def _take(model: keras.Model, source: keras.Model, config: StartConfig) -> None:
    known = dict(groups.paths(source))
    wanted = [(path, w) for path, w in groups.paths(model) if re.search(config.pattern, path)]
    if not wanted:
        raise UserError(f'start.pattern must fit a weight, {config.pattern!r} fits none')
    for path, weight in wanted:
        found = known.get(path)
        if found is None or found.shape != weight.shape:
            came = 'none' if found is None else f'one of shape {tuple(found.shape)}'
            raise UserError(
                f'{config.workdir}: must have a weight {path} of shape {tuple(weight.shape)}, got '
                f'{came}; start.pattern can leave it out'
            )
        weight.assign(found.numpy())
