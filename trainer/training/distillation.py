"""Knowledge distillation: a trained model as the teacher of another.

Teacher and student see the same image with the same augmentation, in the student's size, resized if
the teacher's is another (Beyer et al., 2022, arXiv:2106.05237, "consistent teaching").
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog.errors import UserError
from trainer.config.loss import DistillConfig, LossConfig
from trainer.data.data_set import DataInfo, DataSet
from trainer.inference.predictor import EnsemblePredictor, Predictor
from trainer.inference.runs import open_run
from trainer.losses import priors
from trainer.metrics.calibration import MIN_PROBABILITY
from trainer.workdir import run_files


@dataclass(frozen=True)
class Teacher:
    """A teacher.

    Attributes:
      predictor: The model, or an ensemble.
      shift: Added to its log probabilities, so that it predicts with the student's prior; float32
        [C].
      config: Weight and temperature of its loss.
    """

    predictor: Predictor | EnsemblePredictor
    shift: npt.NDArray[np.float32]
    config: DistillConfig

    def logits(self, images: tf.Tensor) -> tf.Tensor:
        """Computes the shifted log probabilities: [B, H, W, 3] -> float32 [B, C]."""
        probabilities = self.predictor.picture_probabilities(images)
        return tf.math.log(tf.maximum(probabilities, MIN_PROBABILITY)) + self.shift

    def losses(
        self, label_losses: tf.Tensor, *, logits: tf.Tensor, teacher_logits: tf.Tensor
    ) -> tf.Tensor:
        """Combines the student's losses from labels with those from the teacher: float32 [B].

        Args:
          label_losses: Losses from the labels alone, float32 [B].
          logits: Logits of the student, float32 [B, C].
          teacher_logits: `logits` of the teacher for the same images.
        """
        divergences = divergence(logits, teacher_logits, temperature=self.config.temperature)
        return (1 - self.config.weight) * label_losses + self.config.weight * divergences


def restore_teacher(
    config: DistillConfig, loss: LossConfig, *, info: DataInfo, data: DataSet
) -> Teacher | None:
    """Restores the teacher of a run; call it in the strategy's scope.

    Args:
      config: Which teacher; None is returned if there is none.
      loss: The loss of the student.
      info: The class counts of the student's data.
      data: The student's data set.

    Raises:
      UserError: If the teacher has no checkpoint, or another category tree.
    """
    workdir = config.teacher
    if workdir is None:
        return None
    run = open_run(workdir)
    learned = run_files.restore_categories(workdir)
    if learned.sha256 != data.categories.sha256:
        raise UserError(
            f'{workdir}: distill.teacher must have the category tree of {data.folder}, of SHA-256 '
            f'{data.categories.sha256}, got {learned.sha256}'
        )
    target = priors.compute_priors(info, loss).target
    trained_for = priors.compute_priors(run.info, run.config.loss).target
    shift = priors.prior_shift(trained_for, target=target)
    return Teacher(run.predictor(), shift, config)


def divergence(logits: tf.Tensor, teacher: tf.Tensor, *, temperature: float) -> tf.Tensor:
    """Computes `T^2 KL(teacher || student)`, both softened by T: float32 [B, C] -> float32 [B].

    Hinton, Vinyals and Dean, 2015, arXiv:1503.02531, section 2; T^2 keeps the gradients' scale. The
    teacher's entropy, which has no gradient, is subtracted: the divergence is 0 if both agree.
    """
    student_logs = tf.nn.log_softmax(logits / temperature)
    teacher_logs = tf.nn.log_softmax(teacher / temperature)
    terms = tf.exp(teacher_logs) * (teacher_logs - student_logs)
    return temperature**2 * tf.reduce_sum(terms, axis=-1)
