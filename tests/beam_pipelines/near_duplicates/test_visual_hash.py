"""Visual hashes: near for copies of a picture, far for other pictures, the same in any batch."""

import functools
import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from beam_pipelines.near_duplicates import matching, visual_hash
from beam_pipelines.near_duplicates.visual_hash import BANDS
from beam_pipelines.table import BLANK, CONVERT
from tests.beam_pipelines.near_duplicates import copies

PLANTED, OTHERS = 100, 300


def hashes(pictures: list[bytes], traits: int = 0) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(picture) for picture in pictures])
    places = np.stack([np.cumsum(lengths) - lengths, lengths], axis=1)
    all_traits = np.full(len(pictures), traits, np.uint8)
    return visual_hash.hash_pictures(b''.join(pictures), places, all_traits)


def found(held_out: np.ndarray, train: np.ndarray) -> np.ndarray:
    return np.any([matching.find_copies(held_out, train, band) for band in range(BANDS)], axis=0)


@functools.cache
def originals() -> list[bytes]:
    return [copies.draw(number) for number in range(PLANTED + OTHERS)]


@pytest.mark.parametrize(
    'copy',
    [
        lambda picture: copies.encode_again(picture, 90),
        lambda picture: copies.encode_again(picture, 40),
        lambda picture: copies.resize(picture, 0.5),
        lambda picture: copies.resize(picture, 0.8),
        lambda picture: copies.resize(picture, 2),
    ],
    ids=['quality 90', 'quality 40', 'half', 'four fifths', 'double'],
)
def test_copies_encoded_again_or_resized_are_found(copy: Callable[[bytes], bytes]) -> None:
    _, train = hashes(originals()[:200])  # contains the originals of the copies
    planted = [copy(picture) for picture in originals()[:PLANTED]]
    _, held_out = hashes([*planted, *originals()[200:]])
    assert len(held_out) == PLANTED + 200
    leaked = found(held_out, train)
    recall = leaked[:PLANTED].mean()
    precision = leaked[:PLANTED].sum() / leaked.sum()
    assert recall >= 0.9
    assert precision >= 0.95


def test_a_hash_does_not_depend_on_what_is_hashed_with_it() -> None:
    pictures = [*originals()[:30], *(copies.resize(p, 0.7) for p in originals()[:30])]
    numbers, together = hashes(pictures)
    assert numbers.tolist() == list(range(60))
    for number, picture in enumerate(pictures):
        assert hashes([picture])[1][0] == together[number]


def test_a_png_has_nearly_the_hash_of_the_jpeg() -> None:
    jpeg = originals()[0]
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(file, 'PNG')
    (_, of_png), (_, of_jpeg) = hashes([file.getvalue()], CONVERT), hashes([jpeg])
    assert matching.are_near(of_png, of_jpeg).all()


def test_another_colour_of_the_same_shape_is_another_picture() -> None:
    image = Image.open(io.BytesIO(originals()[1]))  # more red than blue
    red, green, blue = image.split()
    file = io.BytesIO()
    Image.merge('RGB', (blue, green, red)).save(file, 'JPEG', quality=90)
    _, both = hashes([originals()[1], file.getvalue()])
    assert not matching.are_near(both[:1], both[1:]).any()


def test_pictures_that_show_nothing_or_cannot_be_decoded_have_no_hash() -> None:
    file = io.BytesIO()
    Image.new('RGB', (100, 80), (250, 250, 250)).save(file, 'JPEG')
    truncated = originals()[0][:300]
    numbers, _ = hashes([file.getvalue(), originals()[0], truncated, originals()[1]])
    assert numbers.tolist() == [1, 3]
    assert len(hashes(originals()[:2], BLANK)[0]) == 0
    assert len(hashes([])[0]) == 0


@pytest.mark.parametrize('size', [(1, 1), (3, 200), (17, 9), (127, 129), (640, 33)])
def test_pictures_of_any_size_have_hashes(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'JPEG')
    numbers, found = hashes([file.getvalue()])
    assert len(numbers) == len(found) == (0 if size == (1, 1) else 1)  # one pixel has no contrast
