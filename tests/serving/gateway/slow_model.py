"""A model whose `serving_default` runs as long as a file exists, while a test does other things."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from tests.serving.colours import build_module


def save_slow_version(base: Path, version: int, *, hold: Path) -> None:
    """Writes a version folder; while the file `hold` exists, its answers wait."""
    colours = build_module(1.0)

    class Slow(tf.Module):
        def __init__(self) -> None:
            self.colours = colours
            self.hold = tf.Variable(str(hold))  # of a constant, TensorFlow would look once

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, 'image_bytes')])
        def serving_default(self, image_bytes: Any) -> Any:
            rounds = tf.while_loop(
                lambda _: tf.size(tf.io.matching_files(self.hold)) > 0,
                lambda i: [i + 1],
                [tf.constant(0, tf.int64)],
            )
            with tf.control_dependencies(rounds):
                return self.colours.predict(self.colours.colours(image_bytes))

    module = Slow()
    folder = base / f'{version}.tmp'
    tf.saved_model.save(module, str(folder), {'serving_default': module.serving_default})
    folder.rename(base / str(version))
