"""Draws synthetic product pictures, 180x180 JPEG as in Kaggle's dump. Pure: deterministic.

A class has a look: an outline, a texture, bands and colours. Classes of a level-1 node share a hue.
A product varies the look, and a view varies pose and light, so that a model can learn the classes.
"""

import functools
import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

SIDE = 180  # pixels
JPEG_QUALITY = 75  # with 4:2:0, Pillow's default: Kaggle's quantisation tables

_TEXTURES = 48
_TEXTURE_SIDE = 512
_SMOOTH = 2  # the outline is drawn this many times larger, then reduced
_LABEL_SIDE = 132  # pixels; the largest side of a square label
_POINTS = 48  # points of an outline
_ANGLES = np.linspace(0, 2 * math.pi, _POINTS, endpoint=False)
_SHADES = np.linspace(0, 1, 256)

Rgb = tuple[int, int, int]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """The common properties of a class's products.

    Attributes:
      outline: Distance from the centre by angle, at most 1, float64 [_POINTS].
      aspect: Width divided by height.
      texture: Index of the texture.
      hue: Hue of the body, 0 to 1.
      band_hue: Hue of the bands, 0 to 1.
      bands: Number of bands across the body.
      label_aspect: Width divided by height of the printed label.
    """

    outline: FloatArray
    aspect: float
    texture: int
    hue: float
    band_hue: float
    bands: int
    label_aspect: float


@functools.cache
def draw_look(label: int, *, level1: int, seed: int) -> Look:
    """Draws the look of a class below a level-1 node, given by their dense labels."""
    aisle = np.random.default_rng([seed, 30, level1])
    rng = np.random.default_rng([seed, 31, label])
    radius = np.ones(_POINTS)
    for waves, depth in ((2, 0.3), (3, 0.25), (4, 0.25), (5, 0.15), (7, 0.1)):
        radius += depth * rng.normal(0, 0.7) * np.cos(waves * _ANGLES + rng.uniform(0, 2 * math.pi))
    radius = np.clip(radius, 0.25, None)
    return Look(
        outline=radius / radius.max(),
        aspect=float(np.exp(rng.normal(0, 0.3))),
        texture=int(rng.integers(_TEXTURES)),
        hue=float(aisle.random() + rng.normal(0, 0.06)) % 1,
        band_hue=float(rng.random()),
        bands=int(rng.integers(0, 5)),
        label_aspect=float(np.exp(rng.normal(0, 0.4))),
    )


def draw_picture(look: Look, *, product: int, view: int, seed: int) -> bytes:
    """Draws a view of a product, as JPEG."""
    product_rng = np.random.default_rng([seed, 32, product])
    rng = np.random.default_rng([seed, 33, product, view])
    image = _background(rng)
    body = _body(look, product_rng, rng, seed=seed)
    outline, mask = _silhouette(look, product_rng, rng)
    _bands(body, look, outline, product_rng)
    _label(body, look, product_rng, seed=seed)
    image.paste(body, mask=mask)
    return _jpeg(image)


def _background(rng: np.random.Generator) -> Image.Image:
    if rng.random() < 0.8:  # most photos of a shop have a white background
        return Image.new('RGB', (SIDE, SIDE), 'white')
    light = _lights()[int(rng.integers(4))]
    red, green, blue = (int(shade) for shade in rng.integers(110, 150, 3))
    return _tinted(light, dark=(red, green, blue), bright=(255, 255, 255))


@functools.cache
def _lights() -> tuple[Image.Image, ...]:
    """Returns grey gradients of light from each of the four sides, SIDE x SIDE."""
    gradient = Image.linear_gradient('L')
    return tuple(gradient.rotate(90 * turn).resize((SIDE, SIDE)) for turn in range(4))


def _body(
    look: Look, product_rng: np.random.Generator, rng: np.random.Generator, *, seed: int
) -> Image.Image:
    """Draws the surface: the class's texture in the product's colours, SIDE x SIDE."""
    hue = (look.hue + product_rng.normal(0, 0.04)) % 1
    saturation, value = product_rng.uniform(0.3, 0.95), product_rng.uniform(0.45, 0.9)
    contrast = product_rng.uniform(0.2, 0.9)
    detail = min(0.6, product_rng.gamma(1.8, 0.35))
    light = rng.uniform(0.9, 1.1)
    fine, *textures = _textures(seed)
    grain = Image.blend(_crop(textures[look.texture], rng), _crop(fine, rng), detail)
    return _tinted(
        grain,
        dark=_rgb(hue, saturation, value * light * (1 - contrast)),
        bright=_rgb(hue, saturation * (1 - 0.6 * contrast), value + (1 - value) * contrast),
    )


def _crop(texture: Image.Image, rng: np.random.Generator) -> Image.Image:
    left, top = (int(i) for i in rng.integers(0, _TEXTURE_SIDE - SIDE, 2))
    return texture.crop((left, top, left + SIDE, top + SIDE))


def _silhouette(
    look: Look, product_rng: np.random.Generator, rng: np.random.Generator
) -> tuple[FloatArray, Image.Image]:
    """Returns the outline in pixels, float64 [_POINTS, 2], and its mask with soft edges."""
    aspect = look.aspect * math.exp(product_rng.normal(0, 0.08))
    half = SIDE / 2 * rng.uniform(0.45, 1.5)
    turn = rng.normal(0, 0.2)
    x = look.outline * np.cos(_ANGLES) * min(1, aspect)
    y = look.outline * np.sin(_ANGLES) * min(1, 1 / aspect)
    turned = np.stack(
        [x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)], axis=1
    )
    outline = SIDE / 2 + half * turned + rng.uniform(-6, 6, 2)
    mask = Image.new('L', (SIDE * _SMOOTH, SIDE * _SMOOTH))
    ImageDraw.Draw(mask).polygon([(px, py) for px, py in (outline * _SMOOTH).tolist()], fill=255)
    return outline, mask.reduce(_SMOOTH)


def _bands(
    body: Image.Image, look: Look, outline: FloatArray, product_rng: np.random.Generator
) -> None:
    """Draws the class's bands across the surface, parallel to the product's axis."""
    colour = _rgb(look.band_hue, 0.8, product_rng.uniform(0.3, 0.9))
    draw = ImageDraw.Draw(body)
    # Two opposite points give the direction of the bands.
    start, end = outline[0], outline[_POINTS // 2]
    across = np.array([start[1] - end[1], end[0] - start[0]]) / 4
    for band in range(look.bands):
        shift = across * (band - (look.bands - 1) / 2)
        draw.line([tuple(start + shift), tuple(end + shift)], fill=colour, width=5)


def _label(body: Image.Image, look: Look, product_rng: np.random.Generator, *, seed: int) -> None:
    """Draws a printed label on the surface. Its size determines the size of the file."""
    side = _LABEL_SIDE * product_rng.beta(1.8, 2)
    stretch = math.sqrt(look.label_aspect)
    width, height = int(side * stretch) + 1, int(side / stretch) + 1
    left, top = (int(i) for i in product_rng.integers(0, _TEXTURE_SIDE - SIDE, 2))
    ink = _print(seed).crop((left, top, left + width, top + height))
    corner = ((SIDE - width) // 2, (SIDE - height) // 2)
    body.paste(_rgb(look.band_hue, 0.15, 1), (*corner, corner[0] + width, corner[1] + height))
    body.paste(_rgb(look.band_hue, 1, 0.25), corner, ink)


def _tinted(grey: Image.Image, *, dark: Rgb, bright: Rgb) -> Image.Image:
    """Colours a grey image in shades from `dark` to `bright`."""
    shades = np.asarray(dark) + np.multiply.outer(_SHADES, np.subtract(bright, dark))  # [256, 3]
    tinted = grey.copy()
    tinted.putpalette(shades.astype(np.uint8).tobytes())  # faster than a table per channel
    return tinted.convert('RGB')


def _rgb(hue: float, saturation: float, value: float) -> Rgb:
    channels = []
    for offset in (5, 3, 1):
        k = (offset + 6 * hue) % 6
        share = value - value * saturation * max(0, min(k, 4 - k, 1))
        channels.append(min(255, max(0, round(255 * share))))
    return channels[0], channels[1], channels[2]


@functools.cache
def _textures(seed: int) -> tuple[Image.Image, ...]:
    """Returns grey noise: fine noise first, then the textures, often stretched in one direction."""
    rng = np.random.default_rng([seed, 34])
    sizes = np.exp(rng.uniform(np.log(6), np.log(160), (_TEXTURES, 2))).astype(int).tolist()
    return tuple(_noise(width, height, rng) for width, height in ((160, 160), *sizes))


@functools.cache
def _print(seed: int) -> Image.Image:
    """Draws lines of strokes that look like small print: 255 is ink."""
    rng = np.random.default_rng([seed, 35])
    row, column = np.indices((_TEXTURE_SIDE, _TEXTURE_SIDE))
    stroke = rng.random(row.shape) < 0.45
    in_word = (rng.random(row.shape) < 0.8)[row // 7, column // 4]
    in_line = row % 7 < 5
    return Image.fromarray(np.where(stroke & in_word & in_line, 255, 0).astype(np.uint8))


def _noise(width: int, height: int, rng: np.random.Generator) -> Image.Image:
    noise = Image.fromarray(rng.integers(0, 256, (height, width), np.uint8))
    return noise.resize((_TEXTURE_SIDE, _TEXTURE_SIDE), Image.Resampling.BICUBIC)


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=JPEG_QUALITY)
    return file.getvalue()
