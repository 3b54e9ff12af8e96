"""A trained model that another learns from: what it says of the pictures that the student is shown.

Both see the same picture, with the same augmentation, in the student's size, scaled where the
teacher's is another (Beyer et al., 2022, arXiv:2106.05237, "consistent teaching").
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog.errors import UserError
from trainer.inference import predictor as answerer
from trainer.data import data_set
from trainer.losses import priors as loss
from trainer.inference import runs as restoring
from trainer.inference.predictor import Answerer
from trainer.inference.predictor import Committee
from trainer.inference.ensemble import SMALLEST
from trainer.config import TrainConfig
from trainer.data.data_set import DataSet
from trainer.config.distill_config import DistillConfig
from trainer.losses import distillation


@dataclass(frozen=True)
class Teacher:
    """A teacher.

    Attributes:
      answerer: the model, or several together.
      shift: what makes it answer with the student's prior, float32 [C].
      config: how much it counts.
    """

    answerer: Answerer | Committee
    shift: npt.NDArray[np.float32]
    config: DistillConfig

    def logits(self, images: tf.Tensor) -> tf.Tensor:
        """Logarithms of its shifted probabilities: pixels [B, H, W, 3] -> float32 [B, C]."""
        probabilities = self.answerer.pictures(images)
        return tf.math.log(tf.maximum(probabilities, SMALLEST)) + self.shift

    def losses(self, own: tf.Tensor, *, logits: tf.Tensor, taught: tf.Tensor) -> tf.Tensor:
        """The student's losses by the labels [B], and by what it was taught: float32 [B].

        Args:
          own: by the labels alone.
          logits: the student's, float32 [B, C].
          taught: the teacher's `logits` of the same pictures.
        """
        apart = distillation.divergence(logits, taught, temperature=self.config.temperature)
        return (1 - self.config.weight) * own + self.config.weight * apart


def restore(config: TrainConfig, data: DataSet) -> Teacher | None:
    """The teacher of a run, None where it has none; make it where the student is made.

    Raises:
      UserError: if the teacher has no checkpoint, or knows another category tree.
    """
    workdir = config.distill.teacher
    if workdir is None:
        return None
    run = restoring.open_run(workdir)
    learned = data_set.restore_categories(workdir)
    if learned.sha256 != data.categories.sha256:
        raise UserError(
            f'{workdir}: distill.teacher must know the categories of {data.folder}, of SHA-256 '
            f'{data.categories.sha256}, got {learned.sha256}'
        )
    wanted = loss.priors(data_set.info_of(data, config), config.loss).target
    trained = loss.priors(run.info, run.config.loss).target
    shift = np.log(wanted / trained).astype(np.float32)
    return Teacher(answerer.of(run), shift, config.distill)
