"""Says how the learning rate moves when a run resumes with another number of total steps."""

import tensorflow as tf

from trainer.config.optimizer import OptimizerConfig
from trainer.optim import schedules

_TO_THE_LAST_STEP = ('cosine', 'polynomial')  # schedules that depend on the number of total steps


def describe(config: OptimizerConfig, *, step: int, before: int, now: int) -> str:
    """Returns a sentence about a run that resumes after `step` steps.

    Args:
      config: The `optimizer` part of the run's config.
      step: Steps that the run has completed.
      before: The total steps that the run had.
      now: The total steps that it has now.
    """
    name = config.schedule.name
    changed = f'total_steps was {before:,} and now is {now:,}: '
    if name not in _TO_THE_LAST_STEP:
        return changed + f'the learning rate does not depend on it (schedule {name})'
    old, new = (_rate(config, step, total_steps=total) for total in (before, now))
    last = _rate(config, now, total_steps=now)
    move = 'stays at' if old == new else f'moves from {old} to'
    return changed + (
        f'the learning rate of step {step + 1:,} {move} {new}, and ends at {last} after step '
        f'{now:,} (schedule {name})'
    )


def _rate(config: OptimizerConfig, step: int, *, total_steps: int) -> str:
    factor = float(schedules.factor(tf.constant(step), config.schedule, total_steps=total_steps))
    return f'{config.learning_rate * factor:.3g}'
