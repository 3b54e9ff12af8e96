"""Checks what a server feeds to a signature, by its shape at runtime.

TensorFlow Serving does not compare feeds with the shapes of a signature, and the kernels of some
operations end the process on a rank that they do not expect.
"""

import tensorflow as tf


def checked(pictures: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
    """Returns pictures, at least one, of the shape of their spec: `[N, …]` as in the signature.

    Args:
      pictures: The feed.
      spec: Its name and shape; the first dimension is unknown.

    Raises:
      tf.errors.InvalidArgumentError: When the graph runs. `serving.runtimes.converted_model` has
        the same words.
    """
    inner = [str(size) for size in spec.shape[1:]]
    # Hides the static shape, for which TensorFlow would take the one of the signature.
    hidden = tf.raw_ops.PlaceholderWithDefault(input=pictures, shape=tf.TensorShape(None))
    sizes = tf.strings.as_string(tf.shape(hidden))
    has_rank = tf.equal(tf.size(sizes), 1 + len(inner))
    has_shape = has_rank & tf.equal(_joined(sizes[1:]), _text(inner))
    rule = f'{spec.name} must have shape [{_text(["N", *inner])}], got ['
    with tf.control_dependencies([_check(has_shape, tf.strings.join([rule, _joined(sizes), ']']))]):
        is_there = tf.size(hidden) > 0
        message = tf.constant('a request must have at least one picture, got none')
        with tf.control_dependencies([_check(is_there, message)]):
            return tf.identity(pictures)


def _check(condition: tf.Tensor, message: tf.Tensor) -> tf.Operation:
    return tf.raw_ops.Assert(condition=condition, data=[message])


def _joined(sizes: tf.Tensor) -> tf.Tensor:
    return tf.strings.reduce_join(sizes, separator=', ')


def _text(sizes: list[str]) -> str:
    return ', '.join(sizes)
