"""Where a pixel comes from, and rectangles over it. uint8 [B, H, W, 3] -> the same throughout.

Outside of a picture lie the pixels of its edge: shops put products on white, other sets on black.
"""

import math

import tensorflow as tf


def flip(images: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """Mirrors the chosen pictures, left to right. `chosen`: bool [B]."""
    return tf.where(chosen[:, None, None, None], tf.reverse(images, axis=[2]), images)


def crop_padded(images: tf.Tensor, places: tf.Tensor, *, padding: float) -> tf.Tensor:
    """A piece of the same size out of a picture with `padding` of each side added at both ends.

    Krizhevsky, 2012; He et al., 2015, arXiv:1512.03385, section 4.2. `places`: top and left of the
    piece among those that there are, float32 [B, 2] in [0, 1).
    """
    _, height, width, _ = images.shape
    rows = _moved(places[:, 0], size=height, most=round(height * padding))
    columns = _moved(places[:, 1], size=width, most=round(width * padding))
    return _taken(images, rows=rows[:, :, None], columns=columns[:, None, :])


def _moved(places: tf.Tensor, *, size: int, most: int) -> tf.Tensor:
    # float32 [B] -> int32 [B, size]
    steps = tf.cast(tf.floor(places * (2 * most + 1)), tf.int32) - most
    return tf.range(size)[None, :] + steps[:, None]


def boxes(draws: tf.Tensor, *, area: tuple[float, float], aspect: tuple[float, float]) -> tf.Tensor:
    """Rectangles in the unit square: float32 [B, 4] in [0, 1) -> top, left, height, width [B, 4].

    Szegedy et al., 2014, arXiv:1409.4842, section 6: the area is uniform, the aspect, width by
    height, uniform by its logarithm. A side longer than the square is cut to it.
    """
    low, high = math.log(aspect[0]), math.log(aspect[1])
    areas = area[0] + draws[:, 0] * (area[1] - area[0])
    aspects = tf.exp(low + draws[:, 1] * (high - low))
    heights = tf.minimum(tf.sqrt(areas / aspects), 1)
    widths = tf.minimum(tf.sqrt(areas * aspects), 1)
    tops, lefts = draws[:, 2] * (1 - heights), draws[:, 3] * (1 - widths)
    return tf.stack([tops, lefts, heights, widths], axis=1)


def crop_resized(images: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """The piece of each picture in its box, float32 [B, 4] of `boxes`, scaled up to the picture.

    Bilinear; the centres of pixels lie at halves.
    """
    _, height, width, _ = images.shape
    rows = _centres(boxes[:, 0], boxes[:, 2], size=height)  # float32 [B, H]
    columns = _centres(boxes[:, 1], boxes[:, 3], size=width)
    top, left = tf.floor(rows), tf.floor(columns)
    down, right = rows - top, columns - left

    def at(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        rows, columns = tf.cast(row, tf.int32), tf.cast(column, tf.int32)
        taken = _taken(images, rows=rows[:, :, None], columns=columns[:, None, :])
        return tf.cast(taken, tf.float32)

    right, down = right[:, None, :, None], down[:, :, None, None]
    upper = at(top, left) * (1 - right) + at(top, left + 1) * right
    lower = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    return tf.cast(tf.round(upper * (1 - down) + lower * down), tf.uint8)


def _centres(starts: tf.Tensor, lengths: tf.Tensor, *, size: int) -> tf.Tensor:
    units = (tf.range(size, dtype=tf.float32) + 0.5) / size
    return (starts[:, None] + lengths[:, None] * units[None, :]) * size - 0.5


def transform(images: tf.Tensor, matrices: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    """The pixel at (x, y) from the centre becomes the one nearest to `matrix @ (x, y) + move`.

    Args:
      images: of the batch.
      matrices: float32 [B, 2, 2].
      moves: float32 [B, 2], in pixels to the right and down.
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

    return _taken(images, rows=source(1), columns=source(0))


def _taken(images: tf.Tensor, *, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Pixels by row and column, int32 [B, H or 1, W or 1] each that give [B, H, W] together."""
    _, height, width, channels = images.shape
    rows, columns = tf.clip_by_value(rows, 0, height - 1), tf.clip_by_value(columns, 0, width - 1)
    pixels = tf.reshape(images, [-1, height * width, channels])
    return tf.gather(pixels, rows * width + columns, axis=1, batch_dims=1)


def within(boxes: tf.Tensor, *, height: int, width: int) -> tf.Tensor:
    """The pixels whose centres lie in a box: float32 [B, 4] of `boxes` -> bool [B, H, W]."""
    tops, lefts, heights, widths = (side[:, None] for side in tf.unstack(boxes, axis=1))
    y = (tf.range(height, dtype=tf.float32)[None, :] + 0.5) / height
    x = (tf.range(width, dtype=tf.float32)[None, :] + 0.5) / width
    rows = (y >= tops) & (y < tops + heights)
    columns = (x >= lefts) & (x < lefts + widths)
    return rows[:, :, None] & columns[:, None, :]


def erase(images: tf.Tensor, boxes: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
    """Paints boxes over: Zhong et al., 2017, arXiv:1708.04896, in one colour each.

    Args:
      images: of the batch.
      boxes: float32 [B, 4] of `boxes`; one without an area erases nothing.
      colours: float32 [B, 3] in [0, 1).
    """
    _, height, width, _ = images.shape
    covered = within(boxes, height=height, width=width)[..., None]
    paint = tf.cast(tf.floor(colours * 256), tf.uint8)[:, None, None, :]
    return tf.where(covered, paint, images)
