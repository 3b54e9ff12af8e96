"""Reads the headers of the formats that TensorFlow decodes, in TensorFlow's operations.

All loops are bounded. Sizes are those of the stored image. `catalog.formats` reads the same in
Python.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from trainer.pixels import byte_vector

_MAX_STEPS = 1 << 17  # of a loop; each step of a valid file passes at least one segment or chunk
_START_OF_FRAME = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))


class Head(NamedTuple):
    """A header; all are int64 [] but where noted.

    Attributes:
      width: Width in pixels; 0 if the header is damaged.
      height: Height in pixels.
      exif: Where its EXIF data begins and ends, int64 [2]; both 0 if it has none.
      kind: JPEG: bits per sample. PNG: 1 if it may have transparent parts. WebP: the flags of its
        chunk VP8X. BMP: bits per pixel.
      detail: JPEG: the frame marker. PNG: bits per sample. WebP: where the first frame of an
        animation ends; 0 if there is none. BMP: the compression.
      known_colours: bool []. False for a CMYK JPEG without Adobe's marker, which says that CMYK is
        inverted: viewers and `catalog.pixels` assume so, TensorFlow does not.
    """

    width: tf.Tensor
    height: tf.Tensor
    exif: tf.Tensor
    kind: tf.Tensor
    detail: tf.Tensor
    known_colours: tf.Tensor | bool = True


class GifHead(NamedTuple):
    """The header of a GIF; all are int64 [].

    Attributes:
      screen: Width and height of the logical screen, int64 [2].
      corner: Left and top of the first frame, int64 [2].
      frame: Width and height of the first frame, int64 [2].
      image: Offset of the descriptor of the first frame.
      end: Where the data of the first frame ends.
      control: Offset of the graphic control extension of the frame; 0 if there is none.
      colours: Offset of the palette; 0 if there is none.
    """

    screen: tf.Tensor
    corner: tf.Tensor
    frame: tf.Tensor
    image: tf.Tensor
    end: tf.Tensor
    control: tf.Tensor
    colours: tf.Tensor


def _zero() -> tf.Tensor:
    return tf.constant(0, tf.int64)


def _nothing() -> tf.Tensor:
    return tf.constant([0, 0], tf.int64)


def _range(start: tf.Tensor, end: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    return tf.minimum(tf.stack([start, end]), size)


def read_jpeg(data: tf.Tensor) -> Head:
    """Walks over a JPEG's segments to its first scan, as `catalog.formats.jpeg` does."""
    size = byte_vector.size(data)

    def step(
        at: tf.Tensor, done: tf.Tensor, frame: tf.Tensor, exif: tf.Tensor, adobe: tf.Tensor
    ) -> Any:
        head = byte_vector.window(data, at, 10)
        marker = head[1]
        stray = head[0] != 0xFF
        fill = ~stray & (marker == 0xFF)
        alone = ~stray & ((marker == 1) | ((marker >= 0xD0) & (marker <= 0xD7)))
        segment = ~(stray | fill | alone)
        length = tf.maximum(byte_vector.number(head[2:4]), 2)
        is_frame = segment & tf.reduce_any(marker == tf.constant(_START_OF_FRAME, tf.int64))
        is_exif = segment & (marker == 0xE1) & byte_vector.equals(head[4:10], b'Exif\0\0')
        is_adobe = byte_vector.equals(head[4:9], b'Adobe') & (length >= 14)
        adobe |= segment & (marker == 0xEE) & is_adobe
        done = (segment & (marker == 0xDA)) | (at >= size)
        frame = tf.where(is_frame & (frame == 0), at, frame)
        found = _range(at + 10, at + 2 + length, size)
        exif = tf.where(is_exif & (exif[1] == 0), found, exif)
        at += tf.where(segment, 2 + length, tf.where(alone, tf.cast(2, tf.int64), 1))
        return at, done, frame, exif, adobe

    start = (tf.constant(2, tf.int64), tf.constant(False), _zero(), _nothing(), tf.constant(False))
    _, _, frame, exif, adobe = tf.while_loop(
        lambda at, done, frame, exif, adobe: ~done, step, start, maximum_iterations=_MAX_STEPS
    )
    head = byte_vector.window(data, frame, 10)
    found = tf.cast(frame > 0, tf.int64)
    return Head(
        width=found * byte_vector.number(head[7:9]),
        height=found * byte_vector.number(head[5:7]),
        exif=exif,
        kind=tf.where(frame > 0, head[4], 8),
        detail=tf.where(frame > 0, head[1], 0xC0),
        known_colours=adobe | (head[9] != 4),
    )


def read_png(data: tf.Tensor) -> Head:
    """Reads the chunks IHDR, eXIf and tRNS."""
    size = byte_vector.size(data)

    def step(at: tf.Tensor, done: tf.Tensor, see: tf.Tensor, exif: tf.Tensor) -> Any:
        head = byte_vector.window(data, at, 8)
        length, name = byte_vector.number(head[:4]), head[4:]
        done = byte_vector.equals(name, b'IEND') | (at >= size)
        see |= byte_vector.equals(name, b'tRNS')
        is_exif = byte_vector.equals(name, b'eXIf') & (exif[1] == 0)
        exif = tf.where(is_exif, _range(at + 8, at + 8 + length, size), exif)
        return at + 12 + length, done, see, exif

    start = (tf.constant(8, tf.int64), tf.constant(False), tf.constant(False), _nothing())
    _, _, see, exif = tf.while_loop(
        lambda at, done, see, exif: ~done, step, start, maximum_iterations=_MAX_STEPS
    )
    head = byte_vector.window(data, 16, 10)
    see |= head[9] >= 4
    return Head(
        width=byte_vector.number(head[:4]),
        height=byte_vector.number(head[4:8]),
        exif=exif,
        kind=tf.cast(see, tf.int64),
        detail=head[8],
    )


def read_webp(data: tf.Tensor) -> Head:
    """Reads the size of the canvas, the flags of VP8X, the chunk EXIF, the end of a first frame."""
    size = byte_vector.size(data)
    head = byte_vector.window(data, 12, 18)  # from the name of the first chunk on
    name = head[:4]
    bits = byte_vector.number(head[9:13], little=True)
    lossy = (
        byte_vector.number(head[14:16], little=True),
        byte_vector.number(head[16:18], little=True),
    )
    extended = (
        byte_vector.number(head[12:15], little=True),
        byte_vector.number(head[15:18], little=True),
    )
    is_lossy, is_lossless, is_extended = (
        byte_vector.equals(name, text) for text in (b'VP8 ', b'VP8L', b'VP8X')
    )
    width, height = (
        tf.where(is_lossy, lossy[k] & 0x3FFF, 0)
        + tf.where(is_lossless, (bits // (1 << 14 * k) & 0x3FFF) + 1, 0)
        + tf.where(is_extended, extended[k] + 1, 0)
        for k in range(2)
    )

    def step(at: tf.Tensor, done: tf.Tensor, frame_end: tf.Tensor, exif: tf.Tensor) -> Any:
        chunk = byte_vector.window(data, at, 8)
        length = byte_vector.number(chunk[4:], little=True)
        after = at + 8 + length + (length & 1)
        is_frame = byte_vector.equals(chunk[:4], b'ANMF') & (frame_end == 0)
        frame_end = tf.where(is_frame, tf.minimum(after, size), frame_end)
        done = byte_vector.equals(chunk[:4], b'EXIF')
        exif = tf.where(done, _range(at + 8, at + 8 + length, size), exif)
        return after, done | (after >= size), frame_end, exif

    start = (tf.constant(12, tf.int64), ~is_extended, _zero(), _nothing())
    _, _, frame_end, exif = tf.while_loop(
        lambda at, done, frame_end, exif: ~done, step, start, maximum_iterations=_MAX_STEPS
    )
    return Head(width, height, exif, tf.where(is_extended, head[8], 0), frame_end)


def read_bmp(data: tf.Tensor) -> Head:
    """Reads a BITMAPINFOHEADER; others, such as that of OS/2, have a size of 0."""
    head = byte_vector.window(data, 14, 20)
    known = tf.cast(byte_vector.number(head[:4], little=True) >= 40, tf.int64)
    width, height = (byte_vector.number(head[at : at + 4], little=True) for at in (4, 8))
    height = tf.where(height >= 1 << 31, (1 << 32) - height, height)  # top-down
    return Head(
        width=known * width,
        height=known * height,
        exif=_nothing(),
        kind=byte_vector.number(head[14:16], little=True),
        detail=byte_vector.number(head[16:20], little=True),
    )


def read_gif(data: tf.Tensor) -> GifHead:
    """Walks over a GIF's blocks to the end of its first frame."""
    size = byte_vector.size(data)

    def skip(at: tf.Tensor) -> tf.Tensor:
        """Returns where the sub-blocks that begin at `at` end."""
        at, _ = tf.while_loop(
            lambda at, more: more,
            lambda at, more: (
                at + 1 + byte_vector.window(data, at, 1)[0],
                (byte_vector.window(data, at, 1)[0] > 0) & (at < size),
            ),
            (at, tf.constant(True)),
            maximum_iterations=_MAX_STEPS,
        )
        return at

    def step(at: tf.Tensor, done: tf.Tensor, control: tf.Tensor) -> Any:
        head = byte_vector.window(data, at, 3)
        extension = head[0] == 0x21
        control = tf.where(extension & (head[1] == 0xF9) & (head[2] == 4), at, control)
        at = tf.cond(extension, lambda: skip(at + 2), lambda: at)
        return at, ~extension, control

    screen = byte_vector.window(data, 6, 5)
    has_palette = screen[4] >= 0x80
    start = 13 + tf.where(has_palette, _palette_bytes(screen[4]), 0)
    at, _, control = tf.while_loop(
        lambda at, done, control: ~done,
        step,
        (start, tf.constant(False), _zero()),
        maximum_iterations=_MAX_STEPS,
    )
    image = byte_vector.window(data, at, 10)
    found = tf.cast(image[0] == 0x2C, tf.int64)
    own = image[9] >= 0x80
    pixels = at + 10 + tf.where(own, _palette_bytes(image[9]), 0)
    colours = tf.where(own, at + 10, tf.where(has_palette, tf.constant(13, tf.int64), 0))
    left, top, width, height = (
        byte_vector.number(image[k : k + 2], little=True) for k in (1, 3, 5, 7)
    )
    return GifHead(
        screen=tf.stack([byte_vector.number(screen[k : k + 2], little=True) for k in (0, 2)]),
        corner=found * tf.stack([left, top]),
        frame=found * tf.stack([width, height]),
        image=at,
        end=tf.minimum(skip(pixels + 1), size),
        control=control,
        colours=colours,
    )


def _palette_bytes(flags: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.left_shift(tf.constant(3, tf.int64), (flags & 7) + 1)
