"""A command that has loaded TensorFlow prints no notes of its libraries on this CPU."""

from tests.trainer.programs import run_program

_USE_TYPES = """
from trainer import startup
startup.start(run_operation=True)
import tensorflow as tf

@tf.function
def swap(images):
    return tf.transpose(images, [0, 2, 1, 3])

for kind in (tf.uint8, tf.float16, tf.bfloat16):
    swap(tf.zeros([2, 8, 8, 3], kind))
"""


def test_images_of_any_type_print_no_note() -> None:
    done = run_program(_USE_TYPES)
    assert (done.returncode, done.stderr) == (0, '')
