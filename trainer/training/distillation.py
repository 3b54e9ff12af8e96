"""A trained model that another learns from: what it says of the pictures that the student is shown.

Both see the same picture, with the same augmentation, in the student's size, scaled where the
teacher's is another (Beyer et al., 2022, arXiv:2106.05237, "consistent teaching").

How far a student's opinion is from its teacher's.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog.errors import UserError
from trainer.config import TrainConfig
from trainer.config.loss import DistillConfig
from trainer.data import sampling
from trainer.data.data_set import DataSet
from trainer.inference import predictor as answerer
from trainer.inference import runs as restoring
from trainer.inference.ensemble import SMALLEST
from trainer.inference.predictor import Answerer, Committee
from trainer.losses import priors
from trainer.workdir import run_files


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
        apart = divergence(logits, taught, temperature=self.config.temperature)
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
    learned = run_files.restore_categories(workdir)
    if learned.sha256 != data.categories.sha256:
        raise UserError(
            f'{workdir}: distill.teacher must know the categories of {data.folder}, of SHA-256 '
            f'{data.categories.sha256}, got {learned.sha256}'
        )
    target = priors.compute_priors(sampling.data_info(data, config), config.loss).target
    trained_for = priors.compute_priors(run.info, run.config.loss).target
    shift = priors.prior_shift(trained_for, target=target)
    return Teacher(answerer.of(run), shift, config.distill)


def divergence(logits: tf.Tensor, teacher: tf.Tensor, *, temperature: float) -> tf.Tensor:
    """`T^2 KL(teacher || student)`, both softened by T: float32 [B, C] twice -> float32 [B].

    Hinton, Vinyals and Dean, 2015, arXiv:1503.02531, section 2; T^2 keeps the gradients' scale. The
    teacher's entropy is taken off, which has no gradient: 0 where both agree.
    """
    student = tf.nn.log_softmax(logits / temperature)
    taught = tf.nn.log_softmax(teacher / temperature)
    apart = tf.reduce_sum(tf.exp(taught) * (taught - student), axis=-1)
    return temperature**2 * apart
