"""A small shop: real JPEG pictures, product documents and photo files."""

import functools
import io
import itertools
from collections.abc import Sequence
from pathlib import Path

import bson
import numpy as np
from PIL import Image

from catalog import categories

CATEGORY_IDS = [1000000300, 1000000100, 1000000200, 1000000400]
TREE = categories.parse(
    b'category_id,category_level1,category_level2,category_level3\n'
    + b''.join(b'%d,A,B,%d\n' % (category_id, category_id) for category_id in CATEGORY_IDS),
    path='category_names.csv',
)


@functools.cache
def jpeg(number: int, *, size: int = 16, mode: str = 'RGB') -> bytes:
    """A small picture, different for each number."""
    channels = {'RGB': 3, 'L': 1, 'CMYK': 4}[mode]
    pixels = np.random.default_rng(number).integers(0, 256, (4, 4, channels), np.uint8)
    picture = Image.fromarray(pixels.squeeze(), mode).resize((size, size))
    file = io.BytesIO()
    picture.save(file, 'JPEG', quality=75)
    return file.getvalue()


@functools.cache
def photo(number: int) -> bytes:
    """A picture of about 4 KB, as large as a real one."""
    pixels = np.random.default_rng(number).integers(0, 256, (50, 50, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'JPEG', quality=75)
    return file.getvalue()


def product(product_id: int, category_id: int | None, pictures: Sequence[bytes]) -> bytes:
    """A document like Kaggle's: `_id`, `imgs`, then `category_id`."""
    fields = {'_id': product_id, 'imgs': [{'picture': picture} for picture in pictures]}
    if category_id is not None:
        fields['category_id'] = category_id
    return bson.encode(fields)


def shop(products: int = 60) -> list[bytes]:
    """Documents of four classes with a long tail and one to four pictures."""
    return [
        product(
            10 * number,
            CATEGORY_IDS[min(number % 7, 3) if number % 7 < 5 else 0],
            [jpeg(100 * number + view) for view in range(number % 4 + 1)],
        )
        for number in range(products)
    ]


def photo_dump(products: int) -> bytes:
    """A dump of products in order of `_id`, their classes in random order, 9 KB each."""
    random = np.random.default_rng(0)
    photos = map(photo, itertools.count())
    return b''.join(
        product(
            number,
            CATEGORY_IDS[random.choice(4, p=[0.6, 0.25, 0.1, 0.05])],
            list(itertools.islice(photos, int(random.integers(1, 5)))),
        )
        for number in range(products)
    )


def write_photo(folder: Path, name: str, data: bytes) -> str:
    """Writes a file into a folder, with the folders of its name. Returns the name."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return name
