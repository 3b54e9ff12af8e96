"""Decodes JPEG, PNG, GIF, WebP and BMP; refuses by name what it would show with other pixels."""

from collections.abc import Sequence

import tensorflow as tf

from catalog.formats.bad_picture import REMEDY
from catalog.formats.image_header import MAX_PIXELS
from trainer.pixels import byte_vector, headers, orientation
from trainer.pixels.headers import Head

_WHITE = 255
_STRIP_PIXELS = 1 << 20  # of an image with transparent parts that are composited at once
_WEBP_ANIMATION, _WEBP_ALPHA = 0x02, 0x10  # flags of the chunk VP8X
_READABLE_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
_REMEDY = f': {REMEDY}'

_NOT_READ = {
    'a TIFF image': (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'),
    'a JPEG 2000 image': (b'\0\0\0\x0cjP  ', b'\xff\x4f\xff\x51'),
    'a Photoshop image': (b'8BPS',),
}
_BRANDS_NOT_READ = {
    'an AVIF image': (b'avif', b'avis'),
    'a HEIC image': (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1'),
}
_BRAND_PLACES = (8, *range(16, 40, 4))  # the major brand of a box `ftyp`, and compatible ones

# An image as it is stored, uint8 [h, w, 3 or 4], and where its EXIF data is, int64 [2].
_Decoded = tuple[tf.Tensor, tf.Tensor]


def decode_jpeg(encoded: tf.Tensor, *, ratio: int = 1) -> tf.Tensor:
    """Decodes a JPEG as libjpeg-turbo does by default, as it is stored: uint8 [h, w, 3]."""
    return tf.io.decode_jpeg(
        encoded, channels=3, ratio=ratio, dct_method='INTEGER_ACCURATE', fancy_upscaling=True
    )


# Without Python control flow on tensors, tracing takes a third of the time.
@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a picture to the pixels that `catalog.pixels` defines: string [] -> uint8 [h, w, 3].

    Raises:
      tf.errors.InvalidArgumentError: If the bytes are not an image, have more than `MAX_PIXELS`
        pixels by their header, or have a format that is not decoded here, which it names.
    """
    data = byte_vector.read(encoded)
    magic = byte_vector.window(data, 0, 12)
    is_webp = byte_vector.equals(magic[:4], b'RIFF') & byte_vector.equals(magic[8:12], b'WEBP')
    kinds = [
        (byte_vector.equals(magic[:2], b'\xff\xd8'), _jpeg),
        (byte_vector.equals(magic[:8], b'\x89PNG\r\n\x1a\n'), _png),
        (byte_vector.equals(magic[:4], b'GIF8'), _gif),
        (is_webp, _webp),
        (byte_vector.equals(magic[:2], b'BM'), _bmp),
    ]
    tests = tf.stack([*(is_kind for is_kind, _ in kinds), tf.constant(True)])
    number = tf.argmax(tf.cast(tests, tf.int32), output_type=tf.int32)
    branches = [lambda read=read: read(encoded, data) for _, read in kinds]
    image, exif = tf.switch_case(number, [*branches, lambda: _refuse(encoded)])
    image = tf.cond(tf.shape(image)[-1] == 4, lambda: _on_white(image), lambda: image)
    turn = tf.cond(
        exif[1] > exif[0],
        lambda: orientation.read(data[exif[0] : exif[1]]),
        lambda: tf.constant(1, tf.int64),
    )
    return tf.ensure_shape(orientation.apply(image, turn), [None, None, 3])


def _check(condition: tf.Tensor, message: tf.Tensor | str) -> tf.Tensor:
    """Returns 0.0, or raises an `InvalidArgumentError` with the message.

    `tf.debugging.Assert` is stateful, and the iterator of an input pipeline with a stateful
    operation cannot be saved. Parsing the message as a number fails with it. The result must be
    used: TensorFlow drops a stateless operation that is only a control dependency.
    """
    return tf.strings.to_number(tf.where(condition, '0', message))


def _checked(encoded: tf.Tensor, checks: list[tf.Tensor]) -> tf.Tensor:
    """Returns the bytes of a picture once it has passed the checks."""
    return tf.strings.substr(encoded, tf.cast(tf.add_n(checks), tf.int32), -1 + (1 << 31))


def _check_size(width: tf.Tensor, height: tf.Tensor) -> tf.Tensor:
    size = tf.strings.join([tf.strings.as_string(width), 'x', tf.strings.as_string(height)])
    rule = f'an image must have at least 1 and at most {MAX_PIXELS} pixels, got '
    usable = (width > 0) & (height > 0) & (width <= MAX_PIXELS) & (height <= MAX_PIXELS)
    return _check(usable & (width * height <= MAX_PIXELS), tf.strings.join([rule, size]))


def _refuse(encoded: tf.Tensor) -> _Decoded:
    """Raises an error that names the format."""
    name = tf.constant('bytes that are not a JPEG, PNG, GIF, WebP or BMP image')
    padded = tf.strings.join([encoded, bytes(64)])
    is_box = tf.strings.substr(padded, 4, 4) == b'ftyp'
    brands = _parts(padded, _BRAND_PLACES, [4] * len(_BRAND_PLACES))  # [places]
    for text, codes in reversed(_BRANDS_NOT_READ.items()):
        found = tf.reduce_any(brands[:, tf.newaxis] == tf.constant(codes))
        name = tf.where(is_box & found, text, name)
    for text, starts in _NOT_READ.items():
        found = _parts(padded, [0] * len(starts), [*map(len, starts)]) == tf.constant(starts)
        name = tf.where(tf.reduce_any(found), text, name)
    return _refusal(tf.strings.join([name, ' cannot be decoded', _REMEDY]))


def _refusal(message: tf.Tensor | str) -> _Decoded:
    """Raises an error with the message."""
    image = tf.fill([1, 1, 3], tf.cast(_check(tf.constant(False), message), tf.uint8))
    return image, tf.constant([0, 0], tf.int64)


def _parts(text: tf.Tensor, starts: Sequence[int], lengths: Sequence[int]) -> tf.Tensor:
    """Returns parts of a string: string [] -> string [n]."""
    return tf.strings.substr(tf.repeat(text, len(starts)), starts, lengths)


def _jpeg(encoded: tf.Tensor, data: tf.Tensor) -> _Decoded:
    head = headers.read_jpeg(data)
    readable = tf.reduce_any(head.detail == tf.constant(_READABLE_FRAMES, tf.int64))
    precision = tf.strings.join(
        ['a JPEG with ', tf.strings.as_string(head.kind), ' bits per sample cannot be decoded']
    )
    checks = [
        _check(head.kind == 8, tf.strings.join([precision, _REMEDY])),
        _check(
            head.known_colours,
            'a CMYK JPEG without an Adobe marker cannot be decoded' + _REMEDY,
        ),
        _check(readable, 'a lossless or hierarchical JPEG cannot be decoded' + _REMEDY),
        _check_size(head.width, head.height),
    ]
    return decode_jpeg(_checked(encoded, checks)), head.exif


def _png(encoded: tf.Tensor, data: tf.Tensor) -> _Decoded:
    head = headers.read_png(data)
    encoded = _checked(encoded, [_check_size(head.width, head.height)])
    image = tf.cond(
        head.kind == 1,
        lambda: tf.io.decode_png(encoded, channels=4),
        lambda: tf.io.decode_png(encoded, channels=3),
    )
    return image, head.exif


def _webp(encoded: tf.Tensor, data: tf.Tensor) -> _Decoded:
    if not hasattr(tf.io, 'decode_webp'):  # before TensorFlow 2.20
        return _refusal(f'WebP cannot be decoded by TensorFlow {tf.__version__}{_REMEDY}')
    head = headers.read_webp(data)
    encoded = _checked(encoded, [_check_size(head.width, head.height)])
    animated = head.kind & _WEBP_ANIMATION != 0
    image = tf.cond(
        animated,
        lambda: _webp_first_frame(encoded, head),
        lambda: tf.io.decode_webp(encoded)[0],  # 3 or 4 channels
    )
    return image, head.exif


def _webp_first_frame(encoded: tf.Tensor, head: Head) -> tf.Tensor:
    """Decodes an animation that ends after its first frame: more would only cost memory.

    TensorFlow 2.21 writes beyond its buffer if an animation has no alpha channel and `channels` is
    0, and refuses 3 and 4. So the animation is marked to have alpha.
    """
    encoded = _checked(encoded, [_check(head.detail > 0, 'a WebP animation must have a frame')])
    first = tf.strings.substr(encoded, 0, tf.cast(head.detail, tf.int32))
    flags = byte_vector.to_little_endian(head.kind | _WEBP_ALPHA, 1)
    first = byte_vector.replace(first, tf.constant(20), flags, 1)
    riff_bytes = byte_vector.to_little_endian(head.detail - 8, 4)
    first = byte_vector.replace(first, tf.constant(4), riff_bytes, 4)
    frames = tf.io.decode_webp(first, channels=4)
    return tf.ensure_shape(frames, [None, None, None, 4])[0]


def _bmp(encoded: tf.Tensor, data: tf.Tensor) -> _Decoded:
    head: Head = headers.read_bmp(data)
    supported = (head.width > 0) & (head.detail == 0)
    supported &= (head.kind == 24) | (head.kind == 32)
    rule = 'a BMP without 24 or 32 uncompressed bits per pixel (such as 1-bit and palette BMP)'
    checks = [
        _check(supported, f'{rule} cannot be decoded{_REMEDY}'),
        _check_size(head.width, head.height),
    ]
    return tf.io.decode_bmp(_checked(encoded, checks))[..., :3], head.exif


def _gif(encoded: tf.Tensor, data: tf.Tensor) -> _Decoded:
    head = headers.read_gif(data)
    canvas = tf.maximum(head.screen, head.corner + head.frame)
    checks = [
        _check_size(canvas[0], canvas[1]),
        _check(tf.reduce_all(head.frame > 0), 'a GIF frame must have pixels, got none'),
        _check(head.colours > 0, 'a GIF must have a palette, got none'),
    ]
    # The file with its first frame only, at the corner of a screen of its size: later frames cost
    # memory, and TensorFlow's canvas depends on them.
    first = tf.strings.substr(_checked(encoded, checks), 0, tf.cast(head.end, tf.int32))
    first = tf.strings.join([first, b';'])
    sides = byte_vector.to_little_endian(head.frame[0] + head.frame[1] * 65536, 4)
    first = byte_vector.replace(first, tf.constant(6), sides, 4)
    first = byte_vector.replace(first, head.image + 1, tf.constant(bytes(4)), 4)
    control = byte_vector.window(data, head.control, 7)
    transparent = (head.control > 0) & (control[3] & 1 == 1)
    first = tf.cond(
        transparent, lambda: _whiten(first, head, control[6]), lambda: tf.identity(first)
    )
    image = tf.io.decode_image(first, channels=3, expand_animations=False)
    image = tf.ensure_shape(image, [None, None, 3])
    left, top = tf.unstack(head.corner)
    after = canvas - head.corner - head.frame
    padding = [[top, after[1]], [left, after[0]], [0, 0]]
    image = tf.pad(image, tf.stack(padding), constant_values=_WHITE)
    return image, tf.constant([0, 0], tf.int64)


def _whiten(gif: tf.Tensor, head: headers.GifHead, index: tf.Tensor) -> tf.Tensor:
    """Makes the transparent colour of a GIF white and opaque."""
    gif = byte_vector.replace(gif, head.control + 3, tf.constant(b'\0'), 1)
    return byte_vector.replace(gif, head.colours + 3 * index, tf.constant(b'\xff\xff\xff'), 3)


def _on_white(image: tf.Tensor) -> tf.Tensor:
    """Composites an image on white: uint8 [h, w, 4] -> uint8 [h, w, 3].

    A large image is composited in strips: the integers of its products take five times its memory.
    """
    pixels = tf.size(image) // 4
    return tf.cond(
        pixels <= _STRIP_PIXELS, lambda: _composite(image), lambda: _composite_strips(image)
    )


def _composite_strips(image: tf.Tensor) -> tf.Tensor:
    # uint8 [h, w, 4] -> uint8 [h, w, 3]
    height = tf.shape(image)[0]
    rows = tf.maximum(_STRIP_PIXELS // tf.shape(image)[1], 1)
    count = (height + rows - 1) // rows
    strips = tf.TensorArray(tf.uint8, size=count, infer_shape=False, element_shape=[None, None, 3])
    _, strips = tf.while_loop(
        lambda number, strips: number < count,
        lambda number, strips: (
            number + 1,
            strips.write(number, _composite(image[number * rows : (number + 1) * rows])),
        ),
        (tf.constant(0), strips),
        parallel_iterations=1,
    )
    return strips.concat()


def _composite(image: tf.Tensor) -> tf.Tensor:
    # uint8 [h, w, 4] -> uint8 [h, w, 3]
    wide = tf.cast(image, tf.int32)
    alpha = wide[..., 3:]
    sums = wide[..., :3] * alpha + _WHITE * (_WHITE - alpha)
    return tf.cast((sums + _WHITE // 2) // _WHITE, tf.uint8)
