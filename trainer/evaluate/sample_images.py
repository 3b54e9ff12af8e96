"""Loads the images of the products that a page shows from the shards, small enough for a page."""

import io
from collections.abc import Iterable

import tensorflow as tf
from PIL import Image

from catalog.formats import image_header
from trainer.data import batches, pictures
from trainer.data.data_set import DataSet
from trainer.evaluate.showcase import SampleImages

MAX_VIEWS = 4  # of a product

_BATCH = 128  # pictures at a time
_SIDE = 200  # pixels; Kaggle's images have 180 and are kept unchanged


def load_sample_images(data: DataSet, split: str, products: Iterable[int]) -> SampleImages:
    """Reads the pictures of some products, in one pass over a split; decodes large images only."""
    wanted = tf.constant(sorted(set(products)), tf.int64)
    if not len(wanted):
        return {}

    def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        columns = pictures.parse(serialized)
        place = tf.searchsorted(wanted, columns['product_id'])
        kept = tf.gather(wanted, tf.minimum(place, len(wanted) - 1)) == columns['product_id']
        names = ('product_id', 'index', 'encoded')
        return {name: tf.boolean_mask(columns[name], kept) for name in names}

    stream = batches.map_split(
        data, split, parse=parse, decode=lambda columns: columns, batch_size=_BATCH
    )
    views_of: dict[int, dict[int, bytes]] = {}
    for batch in stream.as_numpy_iterator():
        columns = (batch['product_id'].tolist(), batch['index'].tolist(), batch['encoded'].tolist())
        for product_id, index, encoded in zip(*columns, strict=True):
            views_of.setdefault(product_id, {})[index] = encoded  # copies are identical
    return {
        product_id: tuple(
            shrink_to_thumbnail(views[i]) for i in sorted(views)[:MAX_VIEWS] if _is_intact(views[i])
        )
        for product_id, views in views_of.items()
    }


def _is_intact(encoded: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):  # what Pillow raises for damaged images
        return False
    return True


def shrink_to_thumbnail(encoded: bytes) -> bytes:
    """Returns an image of at most 200x200 pixels unchanged, a larger one as a JPEG of that size."""
    header = image_header.read_header(encoded)
    if max(header.width, header.height) <= _SIDE:
        return encoded
    with Image.open(io.BytesIO(encoded)) as image:
        image.draft('RGB', (_SIDE, _SIDE))
        small = image.convert('RGB')
        small.thumbnail((_SIDE, _SIDE))
        buffer = io.BytesIO()
        small.save(buffer, 'JPEG', quality=85)
    return buffer.getvalue()
