"""Mutated pictures are rejected with a reason, or every decoder reads them.

`make fuzz` draws a million mutants; the suite draws the same few thousand each time.
"""

import os

import numpy as np
import pytest
import simplejpeg
import tensorflow as tf

from beam_pipelines.scan.pictures import inspect_picture
from beam_pipelines.table import CONVERT
from catalog import pixels
from catalog.formats.image_header import MAX_ASPECT, BadPicture
from tests import pictures
from trainer.pixels import decoding

FUZZING = os.environ.get('HYPOTHESIS_PROFILE') == 'fuzz'
MUTANTS = 1_000_000 if FUZZING else 4_000
SEED = int.from_bytes(os.urandom(4), 'big') if FUZZING else 0
PARTS = 8

ORIGINALS = [data for _, data, _ in [*pictures.lossless(), *pictures.lossy()]]
HEADER_BYTES = 700

# Where scans of a progressive JPEG are missing, libjpeg-turbo smooths the blocks; since its version
# 2.1, which TensorFlow does not have, by more neighbours.
PROGRESSIVE = b'\xff\xc2'
SMOOTHED = 16

INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xC0, 0xC2, 0xD9, 0xDA, 0xE1, 0xFE, 0xFF)


def mutate(random: np.random.Generator) -> bytes:
    """Returns a picture with a few changed, lost, repeated or added bytes."""
    data = bytearray(ORIGINALS[random.integers(len(ORIGINALS))])
    for _ in range(random.integers(1, 5)):
        reach = min(len(data), HEADER_BYTES) if random.random() < 0.7 else len(data)
        at = int(random.integers(max(reach, 1)))
        length = int(random.integers(1, 40))
        match random.integers(7):
            case 0 | 1:
                data[at : at + 1] = bytes([random.integers(256)])
            case 2:
                data[at : at + 1] = bytes([random.choice(INTERESTING)])
            case 3:
                data[at : at + 4] = int(random.integers(1 << 32)).to_bytes(4, 'big')
            case 4:
                del data[at : at + length]
            case 5:
                data[at:at] = data[at : at + length]
            case 6:
                del data[at:]
    return bytes(data)


def check(data: bytes) -> bool:
    """Checks a mutant in both modes of the shard job. Returns whether it is accepted."""
    try:
        inspect_picture(data, decode=False)
    except BadPicture as error:
        assert error.reason  # noqa: PT017
    try:
        traits = inspect_picture(data, decode=True)
    except BadPicture:
        return False
    written = pixels.to_jpeg(data) if traits & CONVERT else data
    found = decoding.decode_jpeg(tf.constant(written)).numpy()
    assert found.shape == simplejpeg.decode_jpeg(written, 'RGB', strict=False).shape
    height, width = found.shape[:2]
    assert max(height, width) <= MAX_ASPECT * min(height, width)
    if not traits & CONVERT:
        difference = np.abs(found.astype(int) - np.asarray(pixels.decode(data), int))
        assert difference.max() <= (SMOOTHED if PROGRESSIVE in data else 0)
    return True


_graph = tf.function(decoding.decode, input_signature=[tf.TensorSpec([], tf.string)])


def check_graph(data: bytes) -> bool:
    """Checks that the graph of a model refuses a mutant or gives the pixels of `catalog.pixels`."""
    try:
        found = _graph(tf.constant(data)).numpy().astype(int)
        expected = np.asarray(pixels.decode(data))
    except (tf.errors.InvalidArgumentError, BadPicture):
        return False
    assert found.shape == expected.shape
    limit = SMOOTHED if PROGRESSIVE in data else 1  # CMYK is rounded
    assert np.abs(found - expected).max() <= limit
    return True


@pytest.mark.timeout(90_000 if FUZZING else 600)
@pytest.mark.parametrize('part', range(PARTS))
def test_what_the_shard_job_accepts_every_decoder_reads(part: int) -> None:
    random = np.random.default_rng([SEED, part])
    accepted = 0
    for number in range(MUTANTS // PARTS):
        data = mutate(random)
        try:
            accepted += check(data)
        except Exception as error:
            error.add_note(f'seed {SEED}, part {part}, mutant {number}: {data.hex()}')
            raise
    assert 0.1 < accepted / (MUTANTS // PARTS) < 0.9


def test_the_originals_are_accepted() -> None:
    assert all(check(data) for data in ORIGINALS)


@pytest.mark.timeout(90_000 if FUZZING else 600)
def test_a_model_refuses_a_picture_or_decodes_the_same_pixels() -> None:
    random = np.random.default_rng([SEED, PARTS])
    accepted = 0
    for number in range(MUTANTS // 4):
        data = mutate(random)
        try:
            accepted += check_graph(data)
        except Exception as error:
            error.add_note(f'seed {SEED}, mutant {number}: {data.hex()}')
            raise
    assert accepted > MUTANTS // 40
