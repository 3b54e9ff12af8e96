"""Every operation, eagerly and compiled by XLA, on literals or against Pillow."""

import colorsys
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from trainer.augmentation import colour, geometry, mixing, pictures, rand_augment
from trainer.augmentation.random_numbers import columns, draw
from trainer.config import AugmentConfig

Call = Callable[..., np.ndarray]

PHOTOS = np.random.default_rng(0).integers(0, 256, (4, 10, 14, 3)).astype(np.uint8)


@pytest.fixture(params=['eager', 'xla'])
def call(request: pytest.FixtureRequest) -> Call:
    def run(function: Callable[..., tf.Tensor], *values: np.ndarray, **options: object) -> object:
        def with_options(*tensors: tf.Tensor) -> tf.Tensor:
            return function(*tensors, **options)

        if request.param == 'xla':
            with_options = tf.function(with_options, jit_compile=True, autograph=False)
        found = with_options(*(tf.constant(value) for value in values))
        assert not isinstance(found, tf.Tensor) or found.shape[1:] == values[0].shape[1:]
        return tf.nest.map_structure(lambda tensor: tensor.numpy(), found)

    return run  # type: ignore[return-value]


def _shifted(photo: np.ndarray, *, down: int, right: int) -> np.ndarray:
    """Returns the crop that is shifted down and right, with repeated edges."""
    padded = np.pad(photo, [(9, 9), (9, 9), (0, 0)], 'edge')
    height, width, _ = photo.shape
    return padded[9 + down : 9 + down + height, 9 + right : 9 + right + width]


def test_the_chosen_images_are_mirrored(call: Call) -> None:
    found = call(geometry.flip, PHOTOS, np.array([True, False, True, False]))
    np.testing.assert_array_equal(found[[0, 2]], PHOTOS[[0, 2], :, ::-1])
    np.testing.assert_array_equal(found[[1, 3]], PHOTOS[[1, 3]])


def test_a_padded_crop_shifts_by_at_most_the_padding(call: Call) -> None:
    places = np.float32([[0, 0], [0.999, 0.999], [0.5, 0.5], [0.5, 0]])
    found = call(geometry.crop_padded, PHOTOS, places, padding=0.2)  # 2 rows, 3 columns
    for photo, piece, (down, right) in zip(
        PHOTOS, found, [(-2, -3), (2, 3), (0, 0), (0, -3)], strict=True
    ):
        np.testing.assert_array_equal(piece, _shifted(photo, down=down, right=right))


def test_a_resized_crop_equals_pillows_bilinear_resize(call: Call) -> None:
    boxes = np.float32([[0, 0, 1, 1], [0.2, 0.5, 0.5, 0.5], [0.1, 0, 0.8, 1], [0.6, 0.3, 0.4, 0.7]])
    found = call(geometry.crop_resized, PHOTOS, boxes)
    np.testing.assert_array_equal(found[0], PHOTOS[0])
    for photo, piece, (top, left, height, width) in zip(PHOTOS, found, boxes, strict=True):
        box = (14 * left, 10 * top, 14 * (left + width), 10 * (top + height))
        # At the edges of the box Pillow does not read pixels outside of it.
        wide = Image.fromarray(photo).resize((14, 10), Image.Resampling.BILINEAR, box=box)
        inner = np.s_[2:-2, 3:-3]
        difference = piece[inner].astype(int) - np.asarray(wide)[inner]
        assert np.abs(difference).max() <= 1


@pytest.mark.parametrize('compiled', [False, True])
def test_a_crop_of_a_larger_image_keeps_its_detail(compiled: bool) -> None:
    crop = (
        tf.function(geometry.crop_resized, jit_compile=True) if compiled else geometry.crop_resized
    )
    box = tf.constant([[0.3, 0.25, 0.5, 0.5]])
    found = crop(tf.constant(PHOTOS[:1]), box, size=(8, 9)).numpy()[0]
    assert found.shape == (8, 9, 3)
    expected = Image.fromarray(PHOTOS[0]).resize(
        (9, 8), Image.Resampling.BILINEAR, box=(3.5, 3, 10.5, 8)
    )
    inner = np.s_[2:-2, 2:-2]
    assert np.abs(found[inner].astype(int) - np.asarray(expected)[inner]).max() <= 1


def test_boxes_have_the_area_and_aspect_ratio_of_their_draws() -> None:
    draws = tf.random.stateless_uniform([2000, 4], [1, 2])
    top, left, height, width = (
        geometry.random_boxes(draws, area=(0.1, 0.6), aspect=(0.5, 2.0)).numpy().T
    )
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height).max() <= 1.0001
    assert (left + width).max() <= 1.0001
    areas = height * width
    assert areas.max() <= 0.601
    np.testing.assert_allclose(
        areas, 0.1 + 0.5 * draws[:, 0], rtol=0.1
    )  # except sides clipped to 1
    assert np.median(width / height) == pytest.approx(1, abs=0.05)


def test_erasing_paints_a_box_in_one_colour(call: Call) -> None:
    boxes = np.float32([[0.2, 0.5, 0.3, 0.25], [0, 0, 0, 0], [0, 0, 1, 1], [0.95, 0.95, 0.2, 0.2]])
    colours = np.float32([[0, 0.5, 0.999]] * 4)
    found = call(geometry.erase, PHOTOS, boxes, colours)
    expected = PHOTOS.copy()
    expected[0, 2:5, 7:10] = (0, 128, 255)  # the pixels with their centre in the box
    expected[2] = (0, 128, 255)
    expected[3, 9:, 13:] = (0, 128, 255)
    np.testing.assert_array_equal(found, expected)


def test_a_single_factor_equals_pillows(call: Call) -> None:
    draws = np.float32([[0.25] * 4, [0.5] * 4, [0.75] * 4, [0.9] * 4])
    for name, enhance in [
        ('brightness', ImageEnhance.Brightness),
        ('contrast', ImageEnhance.Contrast),
        ('saturation', ImageEnhance.Color),
    ]:
        config = AugmentConfig(**{name: 0.8})
        found = call(colour.jitter, PHOTOS, draws, config=config)
        for photo, changed, (uniform, *_) in zip(PHOTOS, found, draws, strict=True):
            factor = 1 + 0.8 * (2 * float(uniform) - 1)
            expected = np.asarray(enhance(Image.fromarray(photo)).enhance(factor))
            assert np.abs(changed.astype(int) - expected).max() <= 2, name


def test_hue_rotates_all_colours_around_grey_by_the_same_angle(call: Call) -> None:
    draws = np.float32([[0, 0, 0, 0.75]] * 4)  # a tenth of the circle
    photos = (64 + PHOTOS // 2).astype(np.uint8)  # so that nothing is clipped
    found = call(colour.jitter, photos, draws, config=AugmentConfig(hue=0.2))
    for before, after in zip(photos[0].reshape(-1, 3), found[0].reshape(-1, 3), strict=True):
        (y, i, q), (grey, *axes) = (colorsys.rgb_to_yiq(*(p / 255)) for p in (before, after))
        assert grey == pytest.approx(y, abs=0.01)
        rotated = complex(i, q) * np.exp(2j * np.pi * 0.1)
        assert complex(*axes) == pytest.approx(rotated, abs=0.03)


_ROTATED = {'rotate': lambda image, s: image.rotate(27 * s)}
_SHEARED = {
    'shear_x': lambda image, s: _affine(image, 1, 0.27 * s, 0, 1),
    'shear_y': lambda image, s: _affine(image, 1, 0, 0.27 * s, 1),
}
_ENHANCED = {
    'brightness': lambda image, s: ImageEnhance.Brightness(image).enhance(1 + 0.81 * s),
    'colour': lambda image, s: ImageEnhance.Color(image).enhance(1 + 0.81 * s),
    'contrast': lambda image, s: ImageEnhance.Contrast(image).enhance(1 + 0.81 * s),
    'sharpness': lambda image, s: ImageEnhance.Sharpness(image).enhance(1 + 0.81 * s),
    'autocontrast': lambda image, s: ImageOps.autocontrast(image),
    'posterize': lambda image, s: ImageOps.posterize(image, 4),
    'solarize': lambda image, s: ImageOps.solarize(image, 26),
    'identity': lambda image, s: image,
}


def _affine(image: Image.Image, a: float, b: float, d: float, e: float) -> Image.Image:
    """Transforms around the centre."""
    x, y = image.width / 2, image.height / 2
    data = (a, b, x - a * x - b * y, d, e, y - d * x - e * y)
    return image.transform(image.size, Image.Transform.AFFINE, data)


def _rand_augmented(call: Call, photos: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    signs = np.float32([-1, 1, -1, 1])
    chosen = np.full(4, rand_augment.NAMES.index(name), np.int32)
    return call(rand_augment.apply, photos, chosen, signs, magnitude=9.0), signs


@pytest.mark.parametrize('name', _ENHANCED)
def test_rand_augment_changes_values_like_pillow(call: Call, name: str) -> None:
    photos = (40 + PHOTOS.astype(int) * 2 // 3).astype(np.uint8)  # not the full range
    found, signs = _rand_augmented(call, photos, name)
    for photo, changed, sign in zip(photos, found, signs, strict=True):
        expected = np.asarray(_ENHANCED[name](Image.fromarray(photo), float(sign)))
        inner = np.s_[1:-1, 1:-1]  # Pillow does not sharpen the edge
        assert np.abs(changed[inner].astype(int) - expected[inner]).max() <= 1


@pytest.mark.parametrize('name', [*_ROTATED, *_SHEARED])
def test_rand_augment_moves_pixels_like_pillow(call: Call, name: str) -> None:
    photos = np.random.default_rng(1).integers(1, 256, (4, 40, 56, 3)).astype(np.uint8)
    found, signs = _rand_augmented(call, photos, name)
    for photo, moved, sign in zip(photos, found, signs, strict=True):
        operation = (_ROTATED | _SHEARED)[name]
        expected = np.asarray(
            operation(Image.fromarray(photo), -sign if name == 'rotate' else sign)
        )
        inside = (expected > 0).all(axis=-1)  # Pillow is black outside
        assert inside.mean() > 0.6
        same = (moved == expected).all(axis=-1)[inside]
        assert same.mean() > 0.99  # except where rounding between two pixels differs


def test_rand_augment_translates_by_a_share_of_the_side(call: Call) -> None:
    for name, down, right in [('translate_x', 0, 2), ('translate_y', 1, 0)]:
        signs, chosen = np.float32([1] * 4), np.full(4, rand_augment.NAMES.index(name), np.int32)
        magnitude = 10 * 2.0 / 14 / (150 / 331)  # two of 14 columns, 1.43 of 10 rows
        found = call(rand_augment.apply, PHOTOS, chosen, signs, magnitude=magnitude)
        for photo, moved in zip(PHOTOS, found, strict=True):
            np.testing.assert_array_equal(moved, _shifted(photo, down=down, right=right))


def test_rand_augment_at_magnitude_0_applies_autocontrast_only(call: Call) -> None:
    photos = np.repeat(PHOTOS[:1], len(rand_augment.NAMES), axis=0)
    chosen = np.arange(len(photos), dtype=np.int32)
    signs = np.where(chosen % 2, 1, -1).astype(np.float32)
    found = call(rand_augment.apply, photos, chosen, signs, magnitude=0.0)
    unchanged = (found == photos).all(axis=(1, 2, 3))
    assert [rand_augment.NAMES[number] for number in chosen[~unchanged]] == ['autocontrast']


LABELS = np.array([7, 3, 5, 1])
NEIGHBOURS = np.array([1, 0, 3, 2])


@pytest.mark.parametrize('name', ['mixup', 'cutmix'])
def test_an_image_is_mixed_with_its_neighbour_by_the_share_of_its_label(
    call: Call, name: str
) -> None:
    config = AugmentConfig(flip=False, **{name: 1.0})
    flat = np.broadcast_to(np.uint8([0, 200, 40, 90])[:, None, None, None], PHOTOS.shape)
    draws = draw(4, seed=tf.constant([1, 2]), config=config).numpy()

    def mix(*values: tf.Tensor) -> tuple:
        images, labels = mixing.mix(*values, config)
        return images, labels.own, labels.partner, labels.share

    images, own, partner, share = call(mix, flat, LABELS, draws)
    np.testing.assert_array_equal(own, LABELS)
    np.testing.assert_array_equal(partner, LABELS[NEIGHBOURS])
    means = flat.mean(axis=(1, 2, 3))
    expected = share * means + (1 - share) * means[NEIGHBOURS]
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), expected, rtol=1e-4)
    assert ((share > 0) & (share < 1)).all()
    if name == 'mixup':
        np.testing.assert_allclose(share, columns('mixup', draws, config)[:, 0], rtol=1e-5)
        assert (images.std(axis=(1, 2, 3)) < 1e-3).all()
    else:
        assert set(np.unique(images[:2])) <= {0.0, 200.0}


def test_the_shares_of_mixup_follow_the_beta_distribution() -> None:
    for alpha in (0.1, 0.4, 1.0):
        config = AugmentConfig(flip=False, mixup=alpha)
        shares = columns(
            'mixup', draw(20_000, seed=tf.constant([0, 1]), config=config), config
        ).numpy()
        assert np.isfinite(shares).all()
        assert shares.mean() == pytest.approx(0.5, abs=0.01)
        assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)  # Beta(a, a)


def test_mixup_and_cutmix_together_take_half_of_the_images_each() -> None:
    config = AugmentConfig(flip=False, mixup=1.0, cutmix=1.0)
    photos = np.zeros((400, 8, 8, 3), np.uint8)
    photos[::2] = 255
    draws = draw(400, seed=tf.constant([5, 6]), config=config)
    images, _ = mixing.mix(tf.constant(photos), tf.zeros([400], tf.int64), draws, config)
    is_cut = np.isin(images.numpy(), (0.0, 255.0)).all(axis=(1, 2, 3))
    assert 0.4 < is_cut.mean() < 0.6


EVERYTHING = AugmentConfig(
    crop='resized', rand_augment_ops=2, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1,
    erase=0.5, mixup=0.2, cutmix=1.0,
)  # fmt: skip


def test_random_numbers_depend_on_the_seed_only_and_operations_are_independent() -> None:
    seed = tf.constant([3, 14])
    everything = draw(2000, seed=seed, config=EVERYTHING)
    np.testing.assert_array_equal(everything, draw(2000, seed=seed, config=EVERYTHING))
    other = draw(2000, seed=tf.constant([3, 15]), config=EVERYTHING)
    assert (everything.numpy() != other.numpy()).mean() > 0.99
    flip_only = AugmentConfig()
    np.testing.assert_array_equal(
        columns('flip', everything, EVERYTHING),
        columns('flip', draw(2000, seed=seed, config=flip_only), flip_only),
    )
    correlations = np.corrcoef(everything.numpy().T) - np.eye(everything.shape[1])
    assert np.abs(correlations).max() < 0.1


def test_a_part_of_the_batch_is_augmented_as_within_the_batch() -> None:
    draws = draw(4, seed=tf.constant([0, 9]), config=EVERYTHING)

    def augmented(rows: slice) -> tuple[tf.Tensor, tf.Tensor]:
        images = pictures.augment(tf.constant(PHOTOS[rows]), draws[rows], EVERYTHING)
        mixed, labels = mixing.mix(images, tf.constant(LABELS[rows]), draws[rows], EVERYTHING)
        return mixed, labels.share

    batch = augmented(slice(None))
    parts = [augmented(slice(0, 2)), augmented(slice(2, 4))]
    for found, expected in zip(zip(*parts, strict=True), batch, strict=True):
        np.testing.assert_allclose(tf.concat(found, axis=0), expected, rtol=1e-5)


def test_without_augmentation_images_do_not_change() -> None:
    config = AugmentConfig(flip=False)
    draws = draw(4, seed=tf.constant([0, 0]), config=config)
    images = pictures.augment(tf.constant(PHOTOS), draws, config)
    images, labels = mixing.mix(images, tf.constant(LABELS), draws, config)
    np.testing.assert_array_equal(images, PHOTOS)
    assert images.dtype == tf.uint8
    assert labels.partner is None


def test_half_of_the_images_are_flipped_and_the_given_share_is_erased() -> None:
    config = AugmentConfig(erase=0.25)
    black = np.zeros([2000, 8, 8, 3], np.uint8)
    black[:, :, :4] = 1
    draws = draw(2000, seed=tf.constant([4, 4]), config=config)
    found = pictures.augment(tf.constant(black), draws, config).numpy()
    assert 0.2 < (found > 1).any(axis=(1, 2, 3)).mean() < 0.27  # a box may fall between pixels
    untouched = found[(found <= 1).all(axis=(1, 2, 3))]
    assert 0.45 < (untouched[:, 0, 7, 0] == 1).mean() < 0.55
