"""The record of a product's features: a `tf.Example` in a shard of a feature cache.

| feature | type | meaning |
|---|---|---|
| `image/features` | bytes [views] | float16 [d], little-endian, of each picture in source order |
| `image/class/label` | int64 [1] | as in the records of pictures |
| `product/id` | int64 [1] | likewise |
"""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog import record

FEATURES = 'image/features'
DTYPE = np.dtype('<f2')  # half the room of float32; what is lost is below 0.0005 of a value


def encode(features: npt.NDArray[np.float16], *, label: int, product_id: int) -> bytes:
    """A product's features [views, d] as a serialized tf.Example."""
    example = tf.train.Example()
    views = [view.astype(DTYPE).tobytes() for view in features]
    example.features.feature[FEATURES].bytes_list.value.extend(views)
    example.features.feature[record.LABEL].int64_list.value.append(label)
    example.features.feature[record.PRODUCT_ID].int64_list.value.append(product_id)
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized


def decode(encoded: tf.Tensor, *, size: int) -> tf.Tensor:
    """The features of pictures: string [N] -> float32 [N, size]."""
    features = tf.ensure_shape(tf.io.decode_raw(encoded, tf.float16), [None, size])
    return tf.cast(features, tf.float32)
