"""The parts of a config that say how a step computes, and when a run measures itself.

The part of the config that says what the boards show beside the curves. Changes no result.
"""

from typing import Literal

from pydantic.dataclasses import dataclass

from trainer.config.ranges import STRICT, Count, Natural, Positive, Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StepConfig:
    """How a step computes.

    Attributes:
      clip_norm: gradients of a larger norm, over all weights, are scaled down to it; None never.
      accumulate: parts that a device takes its share of the batch in, one after another: less
        memory, the same update (batch norm sees a part at a time).
      ema_decay: of the mean of the weights that is evaluated and exported; 0 takes the weights
        themselves.
      precision: of the computation; the weights are float32. `float16` scales its loss.
      xla: compiles the forward and backward pass with XLA.
      deterministic_ops: the same numbers from run to run on a GPU too, at the price of speed.
      synchronized_batch_norm: batch norm over the whole batch, not each device's part.
    """

    clip_norm: Positive | None = None
    accumulate: Count = 1
    ema_decay: Share = 0.0
    precision: Literal['float32', 'float16', 'bfloat16'] = 'float32'
    xla: bool = False
    deterministic_ops: bool = False
    synchronized_batch_norm: bool = False

    def __post_init__(self) -> None:
        if self.synchronized_batch_norm and (self.xla or self.accumulate > 1):
            raise ValueError(
                'synchronized_batch_norm must be off where xla is on or accumulate is above 1, '
                'got all at once'
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ValidationConfig:
    """When a run measures itself, and what follows.

    Attributes:
      every_steps: between two evaluations, a multiple of `log_every_steps`; 0 for none.
      split: that is evaluated, a picture at a time.
      metric: that says which weights are the best; those are kept in `workdir/best`.
      patience: evaluations without a gain before the run ends early; 0 never ends it.
    """

    every_steps: Natural = 0
    split: str = 'validation'
    metric: Literal['accuracy', 'macro_f1', 'loss'] = 'accuracy'
    patience: Natural = 0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BoardConfig:
    """What the boards show.

    Attributes:
      sample_pictures: of the evaluated split, shown with what the model says of them after each
        evaluation; 0 for none.
      histograms: of all weights, at each checkpoint.
      profile_steps: that are traced for TensorBoard's profiler; 0 for none.
      profile_from: steps of this start of the run before those: the first ones are slow.
      wandb: mirror of TensorBoard at Weights & Biases: `online` needs the network and an account,
        `offline` writes `workdir/wandb` for `wandb sync`.
      wandb_project: of the mirror.
    """

    sample_pictures: Natural = 8
    histograms: bool = False
    profile_steps: Natural = 0
    profile_from: Natural = 20
    wandb: Literal['off', 'offline', 'online'] = 'off'
    wandb_project: str = 'product-categories'
