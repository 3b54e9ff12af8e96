"""Loads the images of the products that a page shows from the shards, small enough for a page."""

import io
from collections.abc import Iterable

import tensorflow as tf
from PIL import Image

from catalog.formats import image_header
from trainer.config import TrainConfig
from trainer.data import input_pipeline
from trainer.data.data_set import DataSet
from trainer.evaluate.showcase import SampleImages

MAX_VIEWS = 4  # of a product

_SIDE = 200  # pixels; Kaggle's images have 180 and stay unchanged


def load_sample_images(
    data: DataSet, split: str, product_ids: Iterable[int], *, config: TrainConfig
) -> SampleImages:
    """Returns the images of some products; reads the split once, decodes only large images."""
    wanted = tf.constant(sorted(set(product_ids)), tf.int64)
    if not len(wanted):
        return {}

    def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        pictures = input_pipeline.parse_pictures(serialized)
        place = tf.searchsorted(wanted, pictures['product_id'])
        found = tf.gather(wanted, tf.minimum(place, len(wanted) - 1)) == pictures['product_id']
        names = ('product_id', 'index', 'encoded')
        return {name: tf.boolean_mask(pictures[name], found) for name in names}

    batches = input_pipeline.evaluation_stream(
        data, split, config, parse=parse, decode=lambda pictures: pictures
    )
    views: dict[int, dict[int, bytes]] = {}
    for batch in batches.as_numpy_iterator():
        columns = (batch['product_id'].tolist(), batch['index'].tolist(), batch['encoded'].tolist())
        for product_id, index, encoded in zip(*columns, strict=True):
            views.setdefault(product_id, {})[index] = encoded  # oversampled copies are equal
    return {
        product_id: tuple(shrink_to_thumbnail(own[i]) for i in sorted(own)[:MAX_VIEWS])
        for product_id, own in views.items()
    }


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
