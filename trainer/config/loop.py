"""Config of the training loop: steps, validation, and what TensorBoard shows."""

from typing import Literal

from pydantic.dataclasses import dataclass

from trainer.config.ranges import STRICT, NonNegativeInt, PositiveFloat, PositiveInt, Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StepConfig:
    """A training step.

    Attributes:
      clip_norm: Maximum global norm of the gradients; None does not clip.
      accumulate: Parts into which a device splits its batch, one after another: less memory, the
        same update (batch normalization sees one part at a time).
      ema_decay: Decay of the exponential moving average of the weights, which is evaluated and
        exported; 0 keeps none.
      precision: Precision of the computation; weights are float32. `float16` scales the loss.
      xla: Whether the forward and backward pass are compiled with XLA.
      deterministic_ops: Whether operations on a GPU are deterministic, which is slower.
      synchronized_batch_norm: Whether batch normalization uses the statistics of the global batch.
    """

    clip_norm: PositiveFloat | None = None
    accumulate: PositiveInt = 1
    ema_decay: Share = 0.0
    precision: Literal['float32', 'float16', 'bfloat16'] = 'float32'
    xla: bool = False
    deterministic_ops: bool = False
    synchronized_batch_norm: bool = False

    def __post_init__(self) -> None:
        if self.synchronized_batch_norm and (self.xla or self.accumulate > 1):
            raise ValueError(
                'synchronized_batch_norm must be false if xla is true or accumulate is above 1'
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ValidationConfig:
    """Evaluation while training, and early stopping.

    Attributes:
      every_steps: Steps between two evaluations, a multiple of `log_every_steps`; 0 for none.
      split: The split that is evaluated.
      metric: The metric of the best weights, which are kept in `workdir/best`.
      patience: Evaluations without improvement before the run stops early; 0 never stops it.
    """

    every_steps: NonNegativeInt = 0
    split: str = 'validation'
    metric: Literal['accuracy', 'macro_f1', 'loss'] = 'accuracy'
    patience: NonNegativeInt = 0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BoardConfig:
    """What TensorBoard shows. Changes no result.

    Attributes:
      sample_pictures: Pictures of the evaluated split that are shown with their predictions after
        each evaluation; 0 for none.
      histograms: Whether histograms of all weights are logged at each checkpoint.
      profile_steps: Steps that are traced for TensorBoard's profiler; 0 for none.
      profile_from: Steps after the start of the process before the trace: the first ones are slow.
      wandb: Sync to Weights & Biases: `online` needs the network and an account, `offline` writes
        `workdir/wandb` for `wandb sync`.
      wandb_project: Project at Weights & Biases.
    """

    sample_pictures: NonNegativeInt = 8
    histograms: bool = False
    profile_steps: NonNegativeInt = 0
    profile_from: NonNegativeInt = 20
    wandb: Literal['off', 'offline', 'online'] = 'off'
    wandb_project: str = 'product-categories'
