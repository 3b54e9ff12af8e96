"""Which evaluation of a run was the best, and whether it is time to give up."""

import tensorflow as tf

from trainer.metrics.classification import Figures
from trainer.config.loop import ValidationConfig


class Best(tf.Module):  # type: ignore[misc]
    """The best evaluation so far; part of the checkpoint.

    Attributes:
      value: of the metric, float64 [].
      step: after which it was measured, int64 []; 0 before the first.
      waited: evaluations since, int64 [].
    """

    def __init__(self) -> None:
        super().__init__()
        self.value = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.waited = tf.Variable(0, dtype=tf.int64, trainable=False)

    def observe(self, figures: Figures, config: ValidationConfig, *, step: int) -> bool:
        """Takes in an evaluation; whether it is the best."""
        value, best = float(getattr(figures, config.metric)), float(self.value.numpy())
        gain = best - value if config.metric == 'loss' else value - best
        better = not int(self.step.numpy()) or gain > 0
        self.waited.assign(0 if better else self.waited + 1)
        if better:
            self.value.assign(value)
            self.step.assign(step)
        return better

    def is_over(self, config: ValidationConfig) -> bool:
        """Whether the run should end early."""
        return bool(config.patience) and int(self.waited.numpy()) >= config.patience
