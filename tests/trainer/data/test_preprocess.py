import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trainer.config import ModelConfig, backbones
from trainer.data import preprocess


def _encode(pixels: np.ndarray, form: str = 'JPEG', **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


@pytest.fixture(params=['eager', 'tf.data'])
def decode(request: pytest.FixtureRequest):
    def call(encoded: bytes, *, height: int, width: int) -> np.ndarray:
        if request.param == 'eager':
            return preprocess.decode(tf.constant(encoded), height=height, width=width).numpy()
        data = tf.data.Dataset.from_tensors(encoded)
        data = data.map(lambda x: preprocess.decode(x, height=height, width=width))
        assert data.element_spec == tf.TensorSpec([height, width, 3], tf.uint8)
        return next(iter(data)).numpy()

    return call


@pytest.mark.parametrize('subsampling', [0, 2])
def test_a_jpeg_has_the_pixels_of_pillow_bit_for_bit(decode, subsampling: int) -> None:
    encoded = _encode(_noise(36, 52, 3), quality=75, subsampling=subsampling)
    expected = np.asarray(Image.open(io.BytesIO(encoded)))
    np.testing.assert_array_equal(decode(encoded, height=36, width=52), expected)


def test_a_grey_jpeg_becomes_three_equal_channels(decode) -> None:
    encoded = _encode(_noise(28, 28), quality=90)
    expected = np.asarray(Image.open(io.BytesIO(encoded)))
    actual = decode(encoded, height=28, width=28)
    for channel in range(3):
        np.testing.assert_array_equal(actual[..., channel], expected)


@pytest.mark.parametrize('form', ['PNG', 'BMP', 'GIF'])
def test_other_formats_are_decoded(decode, form: str) -> None:
    pixels = np.full((20, 20, 3), 60, np.uint8)
    np.testing.assert_array_equal(decode(_encode(pixels, form), height=20, width=20), pixels)


def test_a_wide_picture_is_scaled_to_fit_and_centred_on_white(decode) -> None:
    pixels = np.full((40, 80, 3), 100, np.uint8)
    actual = decode(_encode(pixels, 'PNG'), height=40, width=40)
    assert (actual[:10] == 255).all()
    assert (actual[10:30] == 100).all()
    assert (actual[30:] == 255).all()


def test_a_tall_picture_is_scaled_to_fit_and_centred_on_white(decode) -> None:
    pixels = np.full((90, 30, 3), 7, np.uint8)
    actual = decode(_encode(pixels, 'PNG'), height=30, width=30)
    assert (actual[:, 10:20] == 7).all()
    assert (actual[:, :10] == 255).all()
    assert (actual[:, 20:] == 255).all()


def test_a_small_picture_is_scaled_up(decode) -> None:
    assert (decode(_encode(np.zeros((1, 1, 3), np.uint8), 'PNG'), height=9, width=9) == 0).all()


def test_scaling_down_averages_the_pixels(decode) -> None:
    stripes = np.tile(np.array([0, 255], np.uint8)[np.newaxis, :, np.newaxis], (64, 32, 3))
    actual = decode(_encode(stripes, 'PNG'), height=8, width=8)
    assert np.abs(actual[:, 1:-1].astype(int) - 127).max() <= 8


@pytest.mark.parametrize('encoded', [b'', b'\xff\xd8', b'not a picture'])
def test_bytes_that_are_not_a_picture_are_an_error(decode, encoded: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(encoded, height=8, width=8)


def test_a_batch_is_decoded_in_order() -> None:
    pictures = [_encode(np.full((8, 8, 3), value, np.uint8), 'PNG') for value in (9, 5, 200)]
    actual = preprocess.decode_batch(tf.constant(pictures), height=8, width=8)
    assert actual[:, 0, 0, 0].numpy().tolist() == [9, 5, 200]


def test_a_batch_of_mixed_formats_equals_its_pictures_decoded_one_by_one() -> None:
    pictures = [_encode(_noise(8, 9, 3), form) for form in ('JPEG', 'PNG', 'JPEG')]
    actual = preprocess.decode_batch(tf.constant(pictures), height=12, width=12)
    for encoded, image in zip(pictures, actual, strict=True):
        expected = preprocess.decode(tf.constant(encoded), height=12, width=12)
        np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize('ratio', [2, 4, 8])
def test_a_jpeg_decoded_at_reduced_size_equals_pillows_draft(ratio: int) -> None:
    encoded = _encode(_noise(64, 96, 3), quality=90)
    image = Image.open(io.BytesIO(encoded))
    image.draft('RGB', (96 // ratio, 64 // ratio))
    expected = np.asarray(image)
    height, width = expected.shape[:2]
    assert (height, width) == (64 // ratio, 96 // ratio)
    actual = preprocess.decode_batch(
        tf.constant([encoded]), height=height, width=width, ratio=ratio
    )
    np.testing.assert_array_equal(actual[0], expected)


@pytest.mark.parametrize('encoded', [b'', b'\xff\xd8', b'not a picture'])
def test_a_batch_with_bytes_that_are_not_a_picture_is_an_error(encoded: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        preprocess.decode_batch(tf.constant([encoded]), height=8, width=8)


def _normalized_by_keras(family: str, images: np.ndarray) -> np.ndarray:
    module = {'vgg': 'vgg16'}.get(family, family)
    return getattr(keras.applications, module).preprocess_input(images.astype(np.float32))


_KERAS_FAMILIES = [
    name for name, family in backbones.FAMILIES.items() if any(family.members.values())
]


@pytest.mark.parametrize('xla', [False, True])
@pytest.mark.parametrize('family', _KERAS_FAMILIES)
def test_a_backbone_of_keras_gets_its_original_preprocessing(family: str, xla: bool) -> None:
    images = _noise(2, 8, 8, 3)
    for name in backbones.FAMILIES[family].members:
        config = ModelConfig(name=name)
        normalize = tf.function(lambda x, c=config: preprocess.normalize(x, c), jit_compile=xla)
        actual = normalize(tf.constant(images))
        assert actual.dtype == tf.float32
        np.testing.assert_allclose(
            actual, _normalized_by_keras(family, images), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize(
    ('name', 'black', 'white'),
    [
        ('small_cnn', -1, 1),
        ('small_resnet', -1, 1),
        ('small_xception', 0, 1),
        ('efficientnet_lite0', -127 / 128, 1),  # as tensorflow/tpu's EfficientNet-Lite
    ],
)
def test_other_backbones_get_their_original_preprocessing(name: str, black: float, white: float):
    images = tf.constant([0, 255], tf.uint8)[:, tf.newaxis, tf.newaxis, tf.newaxis]
    actual = preprocess.normalize(tf.tile(images, [1, 1, 1, 3]), ModelConfig(name=name))
    np.testing.assert_allclose(actual[:, 0, 0], [[black] * 3, [white] * 3])
