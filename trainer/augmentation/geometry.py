"""Flips, crops, affine transforms and erased boxes: uint8 [B, H, W, 3] -> uint8 [B, H, W, 3].

Pixels outside of an image repeat its edge: shops show products on white, other data sets on black.
"""

import math

import tensorflow as tf


def flip(images: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """Mirrors the chosen images left to right. `chosen`: bool [B]."""
    return tf.where(chosen[:, None, None, None], tf.reverse(images, axis=[2]), images)


def crop_padded(images: tf.Tensor, places: tf.Tensor, *, padding: float) -> tf.Tensor:
    """Crops to the same size, after padding by a share `padding` of each side at both ends.

    Krizhevsky, 2012; He et al., 2015, arXiv:1512.03385, section 4.2. `places`: top and left of the
    crop among the possible offsets, float32 [B, 2] in [0, 1).
    """
    _, height, width, _ = images.shape
    rows = _shifted(places[:, 0], size=height, most=round(height * padding))
    columns = _shifted(places[:, 1], size=width, most=round(width * padding))
    return _gather_pixels(images, rows=rows[:, :, None], columns=columns[:, None, :])


def _shifted(places: tf.Tensor, *, size: int, most: int) -> tf.Tensor:
    # float32 [B] -> int32 [B, size]
    shifts = tf.cast(tf.floor(places * (2 * most + 1)), tf.int32) - most
    return tf.range(size)[None, :] + shifts[:, None]


def random_boxes(
    draws: tf.Tensor, *, area: tuple[float, float], aspect: tuple[float, float]
) -> tf.Tensor:
    """Returns boxes in the unit square, (top, left, height, width): [B, 4] in [0, 1) -> [B, 4].

    Szegedy et al., 2014, arXiv:1409.4842, section 6: the area is uniform, the logarithm of the
    aspect ratio, width by height, is uniform. Sides longer than 1 are clipped to 1.
    """
    low, high = math.log(aspect[0]), math.log(aspect[1])
    areas = area[0] + draws[:, 0] * (area[1] - area[0])
    aspects = tf.exp(low + draws[:, 1] * (high - low))
    heights = tf.minimum(tf.sqrt(areas / aspects), 1)
    widths = tf.minimum(tf.sqrt(areas * aspects), 1)
    tops, lefts = draws[:, 2] * (1 - heights), draws[:, 3] * (1 - widths)
    return tf.stack([tops, lefts, heights, widths], axis=1)


def crop_resized(
    images: tf.Tensor, boxes: tf.Tensor, *, size: tuple[int, int] | None = None
) -> tf.Tensor:
    """Crops each image to its box, float32 [B, 4] as in `random_boxes`, and scales it to `size`.

    Bilinear, with half-pixel centres. `size`: height and width; None for those of the images, which
    are then scaled back up.
    """
    _, height, width, _ = images.shape
    rows = _centres(boxes[:, 0], boxes[:, 2], size=height, count=size[0] if size else height)
    columns = _centres(boxes[:, 1], boxes[:, 3], size=width, count=size[1] if size else width)
    top, left = tf.floor(rows), tf.floor(columns)
    down, right = rows - top, columns - left

    def pixels(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        rows, columns = tf.cast(row, tf.int32), tf.cast(column, tf.int32)
        values = _gather_pixels(images, rows=rows[:, :, None], columns=columns[:, None, :])
        return tf.cast(values, tf.float32)

    right, down = right[:, None, :, None], down[:, :, None, None]
    upper = pixels(top, left) * (1 - right) + pixels(top, left + 1) * right
    lower = pixels(top + 1, left) * (1 - right) + pixels(top + 1, left + 1) * right
    return tf.cast(tf.round(upper * (1 - down) + lower * down), tf.uint8)


def _centres(starts: tf.Tensor, lengths: tf.Tensor, *, size: int, count: int) -> tf.Tensor:
    # float32 [B] -> [B, count]
    units = (tf.range(count, dtype=tf.float32) + 0.5) / count
    return (starts[:, None] + lengths[:, None] * units[None, :]) * size - 0.5


def transform(images: tf.Tensor, matrices: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    """Gives the pixel at (x, y) from the centre the value nearest to `matrix @ (x, y) + move`.

    Args:
      images: Images of the batch.
      matrices: Matrix of each image, float32 [B, 2, 2].
      moves: Pixels to the right and down, float32 [B, 2].
    """
    _, height, width, _ = images.shape
    middle = (width / 2, height / 2)
    x = tf.range(width, dtype=tf.float32)[None, None, :] + 0.5 - middle[0]
    y = tf.range(height, dtype=tf.float32)[None, :, None] + 0.5 - middle[1]

    def source(axis: int) -> tf.Tensor:
        across, along = matrices[:, axis, 0], matrices[:, axis, 1]
        offset = moves[:, axis] + middle[axis]
        places = across[:, None, None] * x + along[:, None, None] * y + offset[:, None, None]
        return tf.cast(tf.floor(places), tf.int32)

    return _gather_pixels(images, rows=source(1), columns=source(0))


def _gather_pixels(images: tf.Tensor, *, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Gathers pixels: rows and columns, int32, broadcast to [B, H, W]; clips them to the image."""
    _, height, width, channels = images.shape
    rows, columns = tf.clip_by_value(rows, 0, height - 1), tf.clip_by_value(columns, 0, width - 1)
    pixels = tf.reshape(images, [-1, height * width, channels])
    return tf.gather(pixels, rows * width + columns, axis=1, batch_dims=1)


def box_mask(boxes: tf.Tensor, *, height: int, width: int) -> tf.Tensor:
    """Marks pixels with their centre in the box: boxes [B, 4] -> bool [B, H, W]."""
    tops, lefts, heights, widths = (side[:, None] for side in tf.unstack(boxes, axis=1))
    y = (tf.range(height, dtype=tf.float32)[None, :] + 0.5) / height
    x = (tf.range(width, dtype=tf.float32)[None, :] + 0.5) / width
    rows = (y >= tops) & (y < tops + heights)
    columns = (x >= lefts) & (x < lefts + widths)
    return rows[:, :, None] & columns[:, None, :]


def erase(images: tf.Tensor, boxes: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
    """Paints over a box of each image, in one colour (Zhong et al., 2017, arXiv:1708.04896).

    Args:
      images: Images of the batch.
      boxes: Boxes as in `random_boxes`, float32 [B, 4]; an empty box erases nothing.
      colours: Colour of each box, float32 [B, 3] in [0, 1).
    """
    _, height, width, _ = images.shape
    covered = box_mask(boxes, height=height, width=width)[..., None]
    paint = tf.cast(tf.floor(colours * 256), tf.uint8)[:, None, None, :]
    return tf.where(covered, paint, images)
