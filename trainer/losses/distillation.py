"""How far a student's opinion is from its teacher's."""

import tensorflow as tf


def divergence(logits: tf.Tensor, teacher: tf.Tensor, *, temperature: float) -> tf.Tensor:
    """`T^2 KL(teacher || student)`, both softened by T: float32 [B, C] twice -> float32 [B].

    Hinton, Vinyals and Dean, 2015, arXiv:1503.02531, section 2; T^2 keeps the gradients' scale. The
    teacher's entropy is taken off, which has no gradient: 0 where both agree.
    """
    student = tf.nn.log_softmax(logits / temperature)
    taught = tf.nn.log_softmax(teacher / temperature)
    apart = tf.reduce_sum(tf.exp(taught) * (taught - student), axis=-1)
    return temperature**2 * apart
