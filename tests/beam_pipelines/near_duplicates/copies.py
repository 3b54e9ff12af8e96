"""Drawn product pictures, and copies of them as resellers make them."""

import io

from PIL import Image

from catalog.samples import drawing


def draw(number: int, *, seed: int = 0) -> bytes:
    """Draws a picture of a product of its own. Five products share a class."""
    look = drawing.draw_look(number // 5, level1=number // 20, seed=seed)
    return drawing.draw_picture(look, product=number, view=0, seed=seed)


def encode_again(picture: bytes, quality: int) -> bytes:
    return _encode(_open(picture), quality)


def resize(picture: bytes, factor: float) -> bytes:
    image = _open(picture)
    size = (round(image.width * factor), round(image.height * factor))
    return _encode(image.resize(size, Image.Resampling.BICUBIC), 85)


def border(picture: bytes, fraction: float) -> bytes:
    image = _open(picture)
    width, height = round(image.width * fraction), round(image.height * fraction)
    canvas = Image.new('RGB', (image.width + 2 * width, image.height + 2 * height), 'white')
    canvas.paste(image, (width, height))
    return _encode(canvas, 85)


def crop(picture: bytes, fraction: float) -> bytes:
    image = _open(picture)
    width, height = round(image.width * fraction), round(image.height * fraction)
    return _encode(image.crop((width, height, image.width - width, image.height - height)), 85)


def _open(picture: bytes) -> Image.Image:
    return Image.open(io.BytesIO(picture)).convert('RGB')


def _encode(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=quality)
    return file.getvalue()
