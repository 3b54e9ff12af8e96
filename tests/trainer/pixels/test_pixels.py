"""The same bytes give the same pixels in shards, training, evaluation, prediction and export.

The reference is `catalog.pixels`, which tests/catalog/test_pixels.py compares with drawn pixels.
TensorFlow's operations give the same pixels exactly, so does a shard that keeps a picture. One
that a shard converts to JPEG differs by at most MAX_MEAN_DIFFERENCE on average.
"""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import tensorflow as tf
from PIL import Image

from beam_pipelines.scan.pictures import inspect_picture
from beam_pipelines.table import CONVERT
from catalog import pixels
from catalog.formats.image_header import MAX_PIXELS
from catalog.predictions.decoding import Decode, decode_pictures
from tests import pictures
from tests.pictures import HEIGHT, WIDTH, save
from trainer.config import InputConfig
from trainer.data import preprocess
from trainer.export import serving_module
from trainer.export.loading import decode_all
from trainer.pixels import decoding

MAX_MEAN_DIFFERENCE = 3.5  # of 255: JPEG of quality 95 with 4:2:0, at the edges of four colours

CASES = [*pictures.lossless(), *pictures.lossy()]
REFUSED = {  # what TensorFlow's operations cannot decode, and how the error names it
    'tiff': 'a TIFF image',
    'avif': 'an AVIF image',
    'jpeg 2000': 'a JPEG 2000 image',
    'bmp L': 'palette BMP',
    'bmp P': 'palette BMP',
    'bmp 1': 'palette BMP',
    'ppm': 'bytes that are not',
    'pgm': 'bytes that are not',
    'qoi': 'bytes that are not',
    'tga': 'bytes that are not',
    'pcx': 'bytes that are not',
    'sgi': 'bytes that are not',
    'dds': 'bytes that are not',
    'ico': 'bytes that are not',
}


def refusal(name: str) -> str | None:
    return next((text for start, text in REFUSED.items() if name.startswith(start)), None)


def reference(data: bytes) -> np.ndarray:
    return np.asarray(pixels.decode(data)).astype(int)


def decoder(decode: Callable[[tf.Tensor], tf.Tensor]) -> Decode:
    return lambda pictures: decode_all(tf.constant(list(pictures)), {(HEIGHT, WIDTH): decode})


_graph = tf.function(decoding.decode, input_signature=[tf.TensorSpec([], tf.string)])


def decode_in_graph(data: bytes) -> np.ndarray:
    """Decodes as an exported model does: TensorFlow optimises a graph, also by dropping checks."""
    return _graph(tf.constant(data)).numpy()


READ = [case for case in CASES if not refusal(case[0])]


def test_tensorflow_decodes_the_same_pixels() -> None:
    assert len(READ) > 70
    for name, data, _ in READ:
        found = decode_in_graph(data)
        np.testing.assert_array_equal(found, reference(data), err_msg=name)


def test_what_tensorflow_cannot_decode_is_refused_by_name() -> None:
    for name, data, _ in CASES:
        if text := refusal(name):
            with pytest.raises(tf.errors.InvalidArgumentError, match=text) as caught:
                decode_in_graph(data)
            assert 'convert it to JPEG (serving.query' in str(caught.value)


def test_a_shards_pictures_have_the_same_pixels_in_both_decoders_of_training() -> None:
    for name, data, _ in CASES:
        converted = inspect_picture(data, decode=False) & CONVERT
        written = pixels.to_jpeg(data) if converted else data
        by_tensorflow = decoding.decode_jpeg(tf.constant(written)).numpy()
        by_simplejpeg = simplejpeg.decode_jpeg(written, 'RGB')
        np.testing.assert_array_equal(by_tensorflow, by_simplejpeg, err_msg=name)
        difference = np.abs(by_tensorflow.astype(int) - reference(data))
        limit = MAX_MEAN_DIFFERENCE if converted else 0
        assert difference.mean() <= limit, (name, difference.mean())


class _Exported(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        size = InputConfig(height=HEIGHT, width=WIDTH)
        self.decode = tf.function(
            lambda x: serving_module.decode_parallel(x, size),
            input_signature=[tf.TensorSpec([None], tf.string)],
        )


@pytest.fixture(scope='module')
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tf.Tensor], tf.Tensor]:
    """The decoder of an exported model, saved and loaded."""
    folder: Path = tmp_path_factory.mktemp('model')
    tf.saved_model.save(_Exported(), str(folder))
    loaded = tf.saved_model.load(str(folder))
    return lambda encoded: loaded.decode(encoded)


def test_a_saved_model_decodes_the_same_pixels_in_one_batch(saved) -> None:
    found = saved(tf.constant([data for _, data, _ in READ])).numpy()
    for (name, data, _), image in zip(READ, found, strict=True):
        np.testing.assert_array_equal(image, reference(data), err_msg=name)


def test_prediction_converts_what_a_model_refuses_to_the_same_pixels(saved) -> None:
    products = [[data] for _, data, _ in CASES]
    decoded = decode_pictures([*products, [b'no picture']], decoder(saved))
    assert list(decoded.unusable) == [(len(CASES), 0)]
    assert decoded.product.tolist() == list(range(len(CASES)))
    for (name, data, _), image in zip(CASES, decoded.images[HEIGHT, WIDTH], strict=True):
        np.testing.assert_array_equal(image, reference(data), err_msg=name)


def test_a_batch_of_usual_jpeg_is_decoded_without_checks_to_the_same_pixels() -> None:
    rgb = Image.fromarray(pictures.upright())
    usual = [save(rgb, 'JPEG', quality=quality) for quality in (50, 90)]
    for batch in (usual, [*usual, pictures.with_exif(usual[0], pictures.exif(3))]):
        found = preprocess.decode_any_batch(tf.constant(batch), height=HEIGHT, width=WIDTH)
        for data, image in zip(batch, found, strict=True):
            np.testing.assert_array_equal(image, reference(data))


def test_random_cmyk_differs_by_the_rounding_of_two_decoders() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    data = save(Image.fromarray(noise, 'CMYK'), 'JPEG', quality=90)
    assert np.abs(decode_in_graph(data) - reference(data)).max() == 1


def test_cmyk_without_an_adobe_marker_is_refused_and_inverted_by_prediction(saved) -> None:
    data = save(Image.fromarray(pictures.upright()).convert('CMYK'), 'JPEG', quality=95)
    at = data.index(b'\xff\xee\0\x0eAdobe')
    unmarked = data[:at] + data[at + 16 :]
    with pytest.raises(tf.errors.InvalidArgumentError, match='CMYK JPEG without an Adobe marker'):
        decode_in_graph(unmarked)
    decoded = decode_pictures([[unmarked]], decoder(saved))
    np.testing.assert_array_equal(decoded.images[HEIGHT, WIDTH][0], reference(data))


def webp_within_its_canvas() -> bytes:
    first, second = (Image.new('RGB', (16, 8), color) for color in ('red', 'blue'))
    options = {'save_all': True, 'append_images': [second], 'lossless': True}
    webp = bytearray(save(first, 'WEBP', **options))
    webp[24], webp[27] = 19, 11  # 20 x 12
    return bytes(webp)


def test_what_a_webps_first_frame_leaves_of_its_canvas_is_white() -> None:
    expected = np.full((12, 20, 3), 255)
    expected[:8, :16] = (255, 0, 0)
    np.testing.assert_array_equal(reference(webp_within_its_canvas()), expected)
    np.testing.assert_array_equal(decode_in_graph(webp_within_its_canvas()), expected)


def gif_within_its_canvas() -> bytes:
    gif = bytearray(save(Image.new('RGB', (4, 4), (9, 9, 9)), 'GIF'))
    struct.pack_into('<HH', gif, 6, 7, 5)
    struct.pack_into('<HH', gif, gif.index(b'\x2c\0\0\0\0\4\0\4\0') + 1, 2, 1)
    return bytes(gif)


def gif_beyond_its_screen() -> bytes:
    gif = bytearray(save(Image.new('RGB', (4, 4), (9, 9, 9)), 'GIF'))
    struct.pack_into('<HH', gif, 6, 3, 2)
    return bytes(gif)


@pytest.mark.parametrize('gif', [gif_within_its_canvas(), gif_beyond_its_screen()])
def test_a_gifs_frame_may_be_smaller_or_larger_than_its_screen(gif: bytes) -> None:
    np.testing.assert_array_equal(decode_in_graph(gif), reference(gif))


def png_header(width: int, height: int) -> bytes:
    return save(Image.new('L', (4, 4)), 'PNG')[:16] + struct.pack('>II', width, height) + bytes(64)


def jpeg_header(width: int, height: int) -> bytes:
    data = bytearray(save(Image.new('RGB', (4, 4)), 'JPEG', progressive=True))
    struct.pack_into('>HH', data, data.index(b'\xff\xc2') + 5, height, width)
    return bytes(data)


def gif_header(width: int, height: int) -> bytes:
    data = bytearray(save(Image.new('RGB', (4, 4)), 'GIF'))
    struct.pack_into('<HH', data, data.index(b'\x2c\0\0\0\0\4\0\4\0') + 5, width, height)
    return bytes(data)


def webp_header(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, 'little') + (height - 1).to_bytes(3, 'little')
    return b'RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0' + sides + bytes(40)


def bmp_header(width: int, height: int) -> bytes:
    return save(Image.new('RGB', (4, 4)), 'BMP')[:18] + struct.pack(
        '<iiHHIIIIII', width, height, 1, 24, 0, 0, 0, 0, 0, 0
    )


@pytest.mark.parametrize('header', [png_header, jpeg_header, gif_header, webp_header, bmp_header])
def test_a_picture_with_too_many_pixels_is_refused_before_it_is_decoded(header) -> None:
    data = header(23_000, 22_000)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=f'at most {MAX_PIXELS} pixels, got 23000x22000'
    ):
        decode_in_graph(data)


@pytest.mark.parametrize('size', [(1500, 1400), (600_000, 2)])
def test_a_large_transparent_picture_is_composited_exactly(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 256, (size[1], size[0], 4), np.uint8)
    data = save(Image.fromarray(drawn, 'RGBA'), 'PNG', compress_level=1)
    alpha = drawn[..., 3:] / 255
    expected = np.rint(drawn[..., :3] * alpha + 255 * (1 - alpha))
    np.testing.assert_array_equal(decode_in_graph(data), expected)


@pytest.mark.parametrize(
    ('at', 'value', 'text'), [(4, 12, '12 bits per sample'), (1, 0xC3, 'lossless or hierarchical')]
)
def test_a_jpeg_that_no_decoder_reads_is_refused_by_name(at: int, value: int, text: str) -> None:
    data = bytearray(save(Image.new('RGB', (9, 9)), 'JPEG'))
    data[data.index(b'\xff\xc0') + at] = value
    with pytest.raises(tf.errors.InvalidArgumentError, match=text):
        decode_in_graph(bytes(data))


@pytest.mark.parametrize('size', [(800, 2), (1, 900), (3, 1)])
def test_a_thin_picture_keeps_at_least_one_pixel(size: tuple[int, int]) -> None:
    data = save(Image.new('RGB', size, (7, 7, 7)), 'PNG')
    image = preprocess.decode(tf.constant(data), height=32, width=32).numpy()
    assert (image == 7).any()
    assert (image == 255).any()


@pytest.mark.parametrize('size', [(33, 21), (640, 481), (20, 20), (800, 2), (1, 900), (180, 180)])
def test_a_runtime_without_tensorflow_fits_pictures_within_1_of_255(size: tuple[int, int]) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    data = save(Image.fromarray(drawn), 'PNG')
    expected = preprocess.decode(tf.constant(data), height=180, width=150).numpy().astype(int)
    found = np.asarray(pixels.fit(pixels.decode(data), height=180, width=150))
    assert found.shape == (180, 150, 3)
    assert np.abs(found - expected).max() <= 1


def test_an_input_pipeline_that_decodes_can_be_saved(tmp_path: Path) -> None:
    """A stateful operation would make this impossible."""
    data = tf.data.Dataset.from_tensor_slices([data for _, data, _ in READ[:3]]).map(
        lambda encoded: preprocess.decode(encoded, height=8, width=8)
    )
    iterator = iter(data)
    next(iterator)
    path = tf.train.Checkpoint(iterator).write(str(tmp_path / 'iterator'))
    expected = next(iterator).numpy()
    restored = iter(data)
    tf.train.Checkpoint(restored).read(path)
    np.testing.assert_array_equal(next(restored), expected)
