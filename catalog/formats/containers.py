"""Recognises formats that are mistaken for BSON, by their first bytes."""

import re

HEAD_BYTES = 512

GZIP = b'\x1f\x8b'

_PHOTOS = 'photos are read from a folder DIR/CATEGORY/..., or from a list (.csv, .parquet)'
_EXPORT = 'export the products with mongodump'
_UNPACK = 'unpack it first'

# First bytes, what they are, and what to do. No BSON document begins like one of them: its length
# would be negative or above the server's limit.
_KINDS = (
    (b'PK\x03\x04', 'a zip archive', _UNPACK),
    (b'PK\x05\x06', 'an empty zip archive', 'get the file again'),
    (b'\xfd7zXZ\0', 'an xz file', f'{_UNPACK} with xz -d, or compress it with gzip'),
    (b'BZh', 'a bzip2 file', f'{_UNPACK} with bunzip2, or compress it with gzip'),
    (b'\x28\xb5\x2f\xfd', 'a zstd file', f'{_UNPACK} with zstd -d, or compress it with gzip'),
    (b'\x04\x22\x4d\x18', 'an lz4 file', f'{_UNPACK} with lz4 -d, or compress it with gzip'),
    (b'7z\xbc\xaf\x27\x1c', 'a 7z archive', _UNPACK),
    (b'Rar!\x1a\x07', 'a rar archive', _UNPACK),
    (GZIP, 'a gzip file', 'give it a name that ends with .gz'),
    (
        b'\x6d\xe2\x99\x81',
        'an archive of mongodump',
        'run mongodump without --archive, or mongorestore --archive and then mongodump',
    ),
    (b'PAR1', 'a Parquet file', 'a list of photos has a name that ends with .parquet'),
    (b'\xff\xd8\xff', 'a JPEG image', _PHOTOS),
    (b'\x89PNG\r\n\x1a\n', 'a PNG image', _PHOTOS),
    (b'GIF8', 'a GIF image', _PHOTOS),
    (b'RIFF', 'a WebP image or another RIFF file', _PHOTOS),
    (b'II*\0', 'a TIFF image', _PHOTOS),
    (b'MM\0*', 'a TIFF image', _PHOTOS),
    (b'\0\0\0\x18ftyp', 'a HEIC or AVIF image, or a video', _PHOTOS),
    (b'\0\0\0\x1cftyp', 'a HEIC or AVIF image, or a video', _PHOTOS),
    (b'\0\0\0\x20ftyp', 'a HEIC or AVIF image, or a video', _PHOTOS),
    (b'ARROW1', 'an Arrow file', _EXPORT),
    (b'Obj\x01', 'an Avro file', _EXPORT),
    (b'\x93NUMPY', 'a NumPy array', _EXPORT),
    (b'%PDF', 'a PDF file', _PHOTOS),
    (b'\x89HDF\r\n\x1a\n', 'an HDF5 file', _EXPORT),
    (b'SQLite format 3\0', 'an SQLite database', _EXPORT),
    (
        b'version https://git-lfs',
        'a pointer of Git LFS instead of the file',
        'run git lfs pull',
    ),
)
_HTML = re.compile(rb'\s*<(?:!doctype|html|head|body|!--)', re.IGNORECASE)
_XML = re.compile(rb'\s*<(?:\?xml|error)', re.IGNORECASE)
_JSON = re.compile(rb'\s*[\[{]\s*(?:["{\[]|[\]}])')
_MARKS = (b'\xef\xbb\xbf', b'\xff\xfe', b'\xfe\xff')
_TAR = slice(257, 262)


def recognize(head: bytes) -> tuple[str, str] | None:
    """Recognises a format by the first `HEAD_BYTES` of a file.

    Returns:
      The format and what to do, or None if it is not recognised.
    """
    for magic, name, remedy in _KINDS:
        if head.startswith(magic):
            return name, remedy
    if head[_TAR] == b'ustar':
        return 'a tar archive', _UNPACK
    text = head
    for mark in _MARKS:
        text = text.removeprefix(mark)
    text = text.replace(b'\0', b'')  # UTF-16
    if _HTML.match(text):
        return 'an HTML page', 'the download failed: get the file again, after signing in'
    if _XML.match(text):
        return 'an XML document', 'the download failed: get the file again, after signing in'
    if _JSON.match(text):
        return (
            'JSON text',
            'export with mongodump, or run mongoimport and then mongodump',
        )
    if head.startswith(_MARKS) or _is_text(text):
        return 'text', 'a list of photos has a name that ends with .csv'
    return None


def _is_text(data: bytes) -> bool:
    """Returns whether the bytes are printable text of several lines or words."""
    controls = data.translate(None, bytes(range(0x20, 0x100)) + b'\t\n\r')
    ascii_bytes = len(data.translate(None, bytes(range(0x7F, 0x100))))
    return len(data) >= 16 and not controls and 2 * ascii_bytes > len(data)
