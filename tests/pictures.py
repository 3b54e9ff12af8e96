"""Small pictures of every format, mode and depth that Pillow writes, with known pixels."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

RED, GREEN, BLUE, GREY = (200, 30, 40), (20, 180, 60), (30, 50, 210), (110, 110, 110)
QUADRANTS = (RED, GREEN, BLUE, GREY)  # top left, top right, bottom left, bottom right
WIDTH, HEIGHT = 64, 32  # of the upright picture; quadrants are complete blocks of JPEG
LEVELS = (16, 80, 150, 240)  # of grey pictures, by quadrant

# Where the quadrants of the upright picture are stored, by EXIF orientation: the 0th row and the
# 0th column of the table in EXIF 2.32, section 4.6.4.
STORED = {
    1: (0, 1, 2, 3),
    2: (1, 0, 3, 2),
    3: (3, 2, 1, 0),
    4: (2, 3, 0, 1),
    5: (0, 2, 1, 3),
    6: (1, 3, 0, 2),
    7: (3, 1, 2, 0),
    8: (2, 0, 3, 1),
}


def quadrants(colours: tuple = QUADRANTS, *, orientation: int = 1, dtype: type = np.uint8):
    """The stored pixels of the picture with these quadrants, [rows, columns, ...]."""
    parts = np.array([colours[place] for place in STORED[orientation]], dtype)
    rows, columns = (HEIGHT, WIDTH) if orientation < 5 else (WIDTH, HEIGHT)
    grid = parts.reshape(2, 2, *parts.shape[1:])
    return grid.repeat(rows // 2, axis=0).repeat(columns // 2, axis=1)


def save(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def grey_png(samples: np.ndarray, *, bits: int, transparent: int) -> bytes:
    """A grey PNG of 2 or 4 bits with a transparent sample, which Pillow does not write."""
    rows, columns = samples.shape
    parts = samples.reshape(rows, -1, 8 // bits)
    packed = (parts << np.arange(8 - bits, -1, -bits)).sum(axis=2).astype(np.uint8)
    chunks = {
        b'IHDR': struct.pack('>IIBBBBB', columns, rows, bits, 0, 0, 0, 0),
        b'tRNS': struct.pack('>H', transparent),
        b'IDAT': zlib.compress(b''.join(b'\0' + row.tobytes() for row in packed)),
        b'IEND': b'',
    }
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in chunks.items()
    )


def exif(orientation: int, *, order: str = '>') -> bytes:
    """EXIF data with two tags, in both byte orders."""
    magic = b'MM\0*' if order == '>' else b'II*\0'
    make = struct.pack(order + 'HHI4s', 0x010F, 2, 4, b'abc\0')
    entry = struct.pack(order + 'HHIHH', 0x0112, 3, 1, orientation, 0)
    ifd = struct.pack(order + 'H', 2) + make + entry + bytes(4)
    return b'Exif\0\0' + magic + struct.pack(order + 'I', 8) + ifd


def with_exif(jpeg: bytes, data: bytes) -> bytes:
    """Puts EXIF data behind a JPEG's JFIF segment."""
    return jpeg[:20] + b'\xff\xe1' + struct.pack('>H', 2 + len(data)) + data + jpeg[20:]


def upright() -> np.ndarray:
    return quadrants()


def grey() -> np.ndarray:
    """The pixels of the grey pictures, as RGB."""
    return np.repeat(quadrants(LEVELS)[..., np.newaxis], 3, axis=2)


def half_transparent() -> tuple[Image.Image, np.ndarray]:
    """A picture with alpha 255, 128, 64 and 0 by quadrant, and its pixels on white."""
    alphas = np.array([255, 128, 64, 0])
    colours = np.array(QUADRANTS)
    shown = (colours * alphas[:, np.newaxis] + 255 * (255 - alphas[:, np.newaxis])) / 255
    rgba = tuple((*colour, alpha) for colour, alpha in zip(QUADRANTS, alphas, strict=True))
    return Image.fromarray(quadrants(rgba)), quadrants(tuple(map(tuple, np.rint(shown))))


def lossless() -> Iterator[tuple[str, bytes, np.ndarray]]:
    """Name, bytes and pixels of pictures whose pixels are exact."""
    rgb, levels = Image.fromarray(upright()), Image.fromarray(quadrants(LEVELS))
    rgba, on_white = half_transparent()
    palette = rgb.quantize(4, dither=Image.Dither.NONE)
    holes = rgb.copy()
    holes.paste((255, 255, 255), (WIDTH // 2, HEIGHT // 2, WIDTH, HEIGHT))
    with_hole = np.asarray(holes)
    hole = palette.getpixel((WIDTH - 1, HEIGHT - 1))
    bits = quadrants((0, 1, 1, 0)).astype(bool)
    black_white = np.where(bits[..., np.newaxis], np.uint8(255), np.uint8(0)).repeat(3, axis=2)
    deep = Image.fromarray(quadrants(tuple(v * 256 + 77 for v in LEVELS), dtype=np.uint16))
    la = Image.merge('LA', (levels, rgba.getchannel('A')))
    alphas = np.array([255, 128, 64, 0])
    shown = np.rint((np.array(LEVELS) * alphas + 255 * (255 - alphas)) / 255)
    grey_on_white = np.repeat(quadrants(tuple(shown))[..., np.newaxis], 3, axis=2)

    yield 'png RGB', save(rgb, 'PNG'), upright()
    yield 'png L', save(levels, 'PNG'), grey()
    yield 'png 1-bit', save(Image.fromarray(bits), 'PNG'), black_white
    yield 'png P', save(palette, 'PNG'), upright()
    yield 'png P tRNS', save(palette, 'PNG', transparency=hole), with_hole
    yield 'png RGB tRNS', save(rgb, 'PNG', transparency=GREY), with_hole
    hidden = grey()
    hidden[HEIGHT // 2 :, WIDTH // 2 :] = 255
    yield 'png L tRNS', save(levels, 'PNG', transparency=LEVELS[3]), hidden
    for depth, samples in ((2, (0, 1, 2, 3)), (4, (1, 5, 9, 12))):
        data = grey_png(quadrants(samples), bits=depth, transparent=samples[2])
        shown = tuple(255 * sample // (2**depth - 1) for sample in samples)
        pixels = quadrants((*shown[:2], 255, shown[3]))[..., np.newaxis].repeat(3, axis=2)
        yield f'png L tRNS {depth}-bit', data, pixels
    yield 'png RGBA', save(rgba, 'PNG'), on_white
    yield 'png LA', save(la, 'PNG'), grey_on_white
    yield 'png I;16', save(deep, 'PNG'), grey()
    for orientation in range(1, 9):
        stored = Image.fromarray(quadrants(orientation=orientation))
        yield f'png eXIf {orientation}', save(stored, 'PNG', exif=exif(orientation)), upright()
        data = exif(orientation, order='<')
        options = {'lossless': True, 'exact': True}
        yield f'webp exif {orientation}', save(stored, 'WEBP', exif=data, **options), upright()
        tags = Image.Exif()
        tags[0x0112] = orientation
        yield f'tiff exif {orientation}', save(stored, 'TIFF', exif=tags), upright()
    yield 'webp lossless', save(rgb, 'WEBP', lossless=True), upright()
    yield 'webp alpha', save(rgba, 'WEBP', lossless=True, exact=True), on_white
    second = Image.new('RGB', rgb.size, 'white')
    animation = {'save_all': True, 'append_images': [second], 'duration': 100}
    yield 'webp animated', save(rgb, 'WEBP', lossless=True, **animation), upright()
    yield 'png animated', save(rgb, 'PNG', **animation), upright()
    yield 'gif P', save(palette, 'GIF'), upright()
    yield 'gif L', save(levels, 'GIF'), grey()
    yield 'gif animated', save(rgb, 'GIF', **animation), upright()
    yield 'gif transparent', save(palette, 'GIF', transparency=hole, optimize=False), with_hole
    yield 'bmp RGB', save(rgb, 'BMP'), upright()
    yield 'bmp L', save(levels, 'BMP'), grey()
    yield 'bmp P', save(palette, 'BMP'), upright()
    yield 'bmp 1-bit', save(Image.fromarray(bits), 'BMP'), black_white
    yield 'tiff RGB', save(rgb, 'TIFF', compression='tiff_lzw'), upright()
    yield 'tiff RGBA', save(rgba, 'TIFF'), on_white
    yield 'tiff I;16', save(deep, 'TIFF'), grey()
    yield 'tiff I;16B', save(deep, 'TIFF', big_endian=True), grey()
    yield 'tiff I', save(deep.convert('I'), 'TIFF'), grey()
    yield 'tiff 1-bit', save(Image.fromarray(bits), 'TIFF', compression='group4'), black_white
    fractions = Image.fromarray(quadrants(tuple(v / 255 for v in LEVELS), dtype=np.float32))
    yield 'tiff F', save(fractions, 'TIFF'), grey()
    yield 'jpeg 2000 RGB', save(rgb, 'JPEG2000', irreversible=False), upright()
    yield 'jpeg 2000 codestream', save(rgb, 'JPEG2000', no_jp2=True), upright()
    yield 'jpeg 2000 L', save(levels, 'JPEG2000'), grey()
    yield 'jpeg 2000 RGBA', save(rgba, 'JPEG2000'), on_white
    yield 'ppm', save(rgb, 'PPM'), upright()
    yield 'pgm 16', save(deep, 'PPM'), grey()
    yield 'qoi', save(rgb, 'QOI'), upright()
    yield 'tga', save(rgb, 'TGA'), upright()
    yield 'pcx', save(rgb, 'PCX'), upright()
    yield 'sgi', save(rgb, 'SGI'), upright()
    yield 'dds', save(rgb, 'DDS'), upright()
    yield 'ico', save(rgb, 'ICO', sizes=[(WIDTH, HEIGHT)]), upright()


def lossy() -> Iterator[tuple[str, bytes, np.ndarray]]:
    """Name, bytes and pixels of pictures whose pixels are near."""
    rgb, levels = Image.fromarray(upright()), Image.fromarray(quadrants(LEVELS))
    for orientation in range(1, 9):
        stored = Image.fromarray(quadrants(orientation=orientation))
        for order in '<>':
            data = with_exif(save(stored, 'JPEG', quality=95), exif(orientation, order=order))
            yield f'jpeg {orientation} {order}', data, upright()
        cmyk = save(stored.convert('CMYK'), 'JPEG', quality=95, exif=exif(orientation))
        yield f'jpeg CMYK {orientation}', cmyk, upright()
        stored = Image.fromarray(quadrants(LEVELS, orientation=orientation))
        data = save(stored, 'JPEG', quality=95, exif=exif(orientation))
        yield f'jpeg L {orientation}', data, grey()
        stored = Image.fromarray(quadrants(orientation=orientation))
        data = save(stored, 'AVIF', quality=100, subsampling='4:4:4', exif=exif(orientation))
        yield f'avif {orientation}', data, upright()
    for subsampling in ('4:4:4', '4:2:2', '4:2:0'):
        for progressive in (False, True):
            data = save(rgb, 'JPEG', quality=95, subsampling=subsampling, progressive=progressive)
            yield f'jpeg {subsampling} progressive={progressive}', data, upright()
    yield 'jpeg L', save(levels, 'JPEG', quality=95), grey()
    yield 'jpeg stored as RGB', save(rgb, 'JPEG', quality=95, keep_rgb=True), upright()
    yield 'jpeg with a tail', save(rgb, 'JPEG', quality=95) + b'appended by a phone', upright()
    second = Image.new('RGB', rgb.size, 'white')
    yield 'mpo', save(rgb, 'MPO', quality=95, save_all=True, append_images=[second]), upright()
    yield 'webp', save(rgb, 'WEBP', quality=95), upright()
    rgba, on_white = half_transparent()
    yield 'webp lossy alpha', save(rgba, 'WEBP', quality=95, exact=True), on_white
    yield 'avif', save(rgb, 'AVIF', quality=100), upright()
    yield 'avif alpha', save(rgba, 'AVIF', quality=100), on_white


def interior(pixels: np.ndarray) -> np.ndarray:
    """The pixels at least 4 from an edge of a quadrant: lossy formats blur the others."""
    rows = np.r_[4 : HEIGHT // 2 - 4, HEIGHT // 2 + 4 : HEIGHT - 4]
    columns = np.r_[4 : WIDTH // 2 - 4, WIDTH // 2 + 4 : WIDTH - 4]
    return pixels[np.ix_(rows, columns)].astype(int)
