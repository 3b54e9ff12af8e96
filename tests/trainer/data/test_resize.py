import numpy as np
import pytest
import tensorflow as tf

from trainer.data.preprocess import resize

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 18, 23, 3)).astype(np.uint8)


@pytest.mark.parametrize('xla', [False, True])
@pytest.mark.parametrize('size', [(9, 7), (18, 40), (5, 23), (33, 31), (1, 1)])
def test_resize_equals_tensorflows_resize(size: tuple[int, int], xla: bool) -> None:
    height, width = size
    function = tf.function(lambda x: resize(x, height=height, width=width), jit_compile=xla)
    expected = tf.image.resize(IMAGES, size, antialias=True)
    np.testing.assert_allclose(function(tf.constant(IMAGES)), expected, atol=0.01)


def test_images_of_the_wanted_size_are_unchanged() -> None:
    np.testing.assert_array_equal(resize(tf.constant(IMAGES), height=18, width=23), IMAGES)
