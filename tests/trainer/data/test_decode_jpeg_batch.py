import io
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trainer.data import preprocess

HEIGHT, WIDTH = 37, 51


def _photo(seed: int, *, height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 5 + seed), np.cos(y / 7), np.sin(x * y / 90)], axis=-1)
    noise = np.random.default_rng(seed).normal(0, 9, waves.shape)
    return Image.fromarray((127 + 100 * waves + noise).clip(0, 255).astype(np.uint8))


def _encode(image: Image.Image, form: str = 'JPEG', **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _decode_batch(encoded: tf.Tensor, fallback: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    def decode_all(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return fallback(encoded), tf.ones(tf.shape(encoded), tf.bool)

    return preprocess.decode_jpeg_batch(encoded, height=HEIGHT, width=WIDTH, fallback=decode_all)[0]


def _decode(batches: list[list[bytes]], fallback: Callable[[tf.Tensor], tf.Tensor]) -> np.ndarray:
    """Decodes several batches at a time, as the input pipeline does."""
    encoded = tf.data.Dataset.from_tensor_slices(tf.constant(batches, tf.string)).repeat(3)
    decoded = encoded.map(lambda x: _decode_batch(x, fallback), num_parallel_calls=2)
    assert decoded.element_spec == tf.TensorSpec([len(batches[0]), HEIGHT, WIDTH, 3], tf.uint8)
    rounds = np.array([*decoded.as_numpy_iterator()]).reshape(
        [3, len(batches), len(batches[0]), HEIGHT, WIDTH, 3]
    )
    for other in rounds[1:]:
        np.testing.assert_array_equal(other, rounds[0])
    return rounds[0]


def _must_not_decode(encoded: tf.Tensor) -> tf.Tensor:
    failure = tf.debugging.Assert(False, ['the fallback was used'])
    with tf.control_dependencies([failure]):
        return tf.zeros([tf.size(encoded), HEIGHT, WIDTH, 3], tf.uint8)


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def _in_graph(encoded: tf.Tensor) -> tf.Tensor:
    return preprocess.decode_batch(encoded, height=HEIGHT, width=WIDTH)


@pytest.mark.parametrize('progressive', [False, True])
@pytest.mark.parametrize('subsampling', ['4:4:4', '4:2:2', '4:2:0', '4:1:1'])
def test_the_pixels_equal_those_of_pillow_and_tensorflow(
    subsampling: str, progressive: bool
) -> None:
    pictures = [
        _encode(_photo(q), quality=q, subsampling=subsampling, progressive=progressive)
        for q in (10, 75, 100)
    ]
    (actual,) = _decode([pictures], _must_not_decode)
    for encoded, image in zip(pictures, actual, strict=True):
        np.testing.assert_array_equal(image, np.asarray(Image.open(io.BytesIO(encoded))))
    np.testing.assert_array_equal(actual, _in_graph(tf.constant(pictures)))


def test_a_batch_may_mix_grey_and_colour_pictures() -> None:
    grey = _photo(1).convert('L')
    pictures = [_encode(_photo(0)), _encode(grey), _encode(_photo(2), keep_rgb=True)]
    (actual,) = _decode([pictures], _must_not_decode)
    shades = np.asarray(Image.open(io.BytesIO(pictures[1])))
    np.testing.assert_array_equal(actual[1], np.stack([shades] * 3, axis=-1))
    np.testing.assert_array_equal(actual, _in_graph(tf.constant(pictures)))


def test_an_empty_batch_gives_no_pixels() -> None:
    assert _decode([[]], _must_not_decode).shape == (1, 0, HEIGHT, WIDTH, 3)


def test_any_other_picture_is_decoded_in_the_graph() -> None:
    others = {
        'smaller': _encode(_photo(3, height=HEIGHT - 1)),
        'larger': _encode(_photo(3, height=HEIGHT + 1)),
        'turned, as many bytes': _encode(_photo(3, height=WIDTH, width=HEIGHT)),
        'PNG': _encode(_photo(3), 'PNG'),
        'longer': _encode(_photo(3)) + b'more',
    }
    batches = [[_encode(_photo(4)), other, _encode(_photo(5))] for other in others.values()]
    decoded = _decode(batches, _in_graph)
    for name, batch, actual in zip(others, batches, decoded, strict=True):
        np.testing.assert_array_equal(actual, _in_graph(tf.constant(batch)), name)


@pytest.fixture(scope='module')
def decode_batch() -> Callable[[tf.Tensor], tf.Tensor]:
    """Decodes a batch in a graph that is traced once: that takes seconds."""
    return tf.function(
        lambda encoded: _decode_batch(encoded, _in_graph), [tf.TensorSpec([None], tf.string)]
    )


@pytest.mark.parametrize(
    'damaged', [b'', b'not a picture', _encode(_photo(6))[:-40]], ids=['empty', 'text', 'cut']
)
def test_a_damaged_picture_is_the_error_of_the_graph(
    decode_batch: Callable[[tf.Tensor], tf.Tensor], damaged: bytes
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=r'(?i)decode'):
        decode_batch(tf.constant([_encode(_photo(4)), damaged]))
