"""The part of the config that says what the boards show beside the curves. Changes no result."""

from typing import Literal

from pydantic.dataclasses import dataclass

from trainer.config.ranges import STRICT
from trainer.config.ranges import Natural


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
