"""Recognises formats that are mistaken for BSON, by their first bytes."""

import re
import struct

from catalog.formats import bson_document, tfrecord

HEAD_BYTES = 512

GZIP = b'\x1f\x8b'
PARQUET = b'PAR1'
TEXT = 'text'  # the name of a format that may be a list

_PHOTOS = 'photos are read from a folder DIR/CATEGORY/..., or from a list (.csv, .parquet)'
_EXPORT = 'export the products with mongodump'
_UNPACK = 'unpack it first'
_SAVE_AS_CSV = 'save it as CSV, with the columns path, category and optionally product'

# First bytes, what they are, and what to do. No BSON document begins like one of them: its length
# would be negative or above the server's limit.
_KINDS = (
    (b'PK\x03\x04', 'a zip archive', _UNPACK),
    (b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1', 'an old Excel workbook', _SAVE_AS_CSV),
    (b'PK\x05\x06', 'an empty zip archive', 'get the file again'),
    (b'\xfd7zXZ\0', 'an xz file', f'{_UNPACK} with xz -d, or compress it with gzip'),
    (b'BZh', 'a bzip2 file', f'{_UNPACK} with bunzip2, or compress it with gzip'),
    (b'\x28\xb5\x2f\xfd', 'a zstd file', f'{_UNPACK} with zstd -d, or compress it with gzip'),
    (b'\x04\x22\x4d\x18', 'an lz4 file', f'{_UNPACK} with lz4 -d, or compress it with gzip'),
    (b'7z\xbc\xaf\x27\x1c', 'a 7z archive', _UNPACK),
    (b'Rar!\x1a\x07', 'a rar archive', _UNPACK),
    (b'\x1f\x9d', 'a .Z file of compress', f'{_UNPACK} with gunzip, or compress it with gzip'),
    (GZIP, 'a gzip file', 'give it a name that ends with .gz'),
    (
        b'\x6d\xe2\x99\x81',
        'an archive of mongodump',
        'run mongodump without --archive, or mongorestore --archive and then mongodump',
    ),
    (PARQUET, 'a Parquet file', 'a list of photos has a name that ends with .parquet'),
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
_ZIP = b'PK\x03\x04'
# Names of the first files in a workbook that programs write.
_WORKBOOK = re.compile(
    rb'\[Content_Types\]\.xml|docProps/|_rels/|xl/|mimetypeapplication/vnd\.oasis|Index/'
)
_ORC = b'ORC'
_PICKLE = re.compile(rb'\x80[\x02-\x05][\x95\x8cc\]}()KMXUGJN]')  # its protocol, an operation
_HTML = re.compile(rb'\s*<(?:!doctype|html|head|body|!--)', re.IGNORECASE)
_XML = re.compile(rb'\s*<(?:\?xml|error)', re.IGNORECASE)
_JSON = re.compile(rb'\s*[\[{]\s*(?:["{\[]|[\]}])')
_BSON_TYPES = (*range(0x01, 0x14), 0x7F, 0xFF)
_MARKS = (b'\xef\xbb\xbf', b'\xff\xfe', b'\xfe\xff')
_TAR = slice(257, 262)


def recognize(head: bytes) -> tuple[str, str] | None:
    """Recognises a format by the first `HEAD_BYTES` of a file.

    Returns:
      The format and what to do, or None if it is not recognised.
    """
    if head.startswith(_ZIP) and _WORKBOOK.match(head, 30):  # after the header, of 30 bytes
        return 'a spreadsheet', _SAVE_AS_CSV
    for magic, name, remedy in _KINDS:
        if head.startswith(magic):
            return name, remedy
    if tfrecord.is_header(head):
        return 'a TFRecord file', 'the job reads the products of the shop, not shards'
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
            'export with mongodump, or run mongoimport and then mongodump; save a list of photos '
            'as CSV',
        )
    if head.startswith(_MARKS) or _is_text(text):
        return TEXT, 'a list of photos has a name that ends with .csv'
    return None if _may_be_bson(head) else _recognize_ambiguous(head)


def _recognize_ambiguous(head: bytes) -> tuple[str, str] | None:
    """Recognises formats whose first bytes may also be the length of a BSON document."""
    if head.startswith(_ORC):
        return 'an ORC file', _EXPORT
    if _PICKLE.match(head):
        return 'a Python pickle', _EXPORT
    if _is_lzma(head):
        return 'an LZMA file', f'{_UNPACK} with unlzma, or compress it with gzip'
    return None


def _is_lzma(head: bytes) -> bool:
    """Returns whether the bytes are a header of LZMA: usual properties, sizes, and a zero."""
    if len(head) < 14 or head[0] != 0x5D or head[13]:
        return False
    dictionary, size = struct.unpack_from('<Iq', head, 1)
    odd_part = dictionary // (dictionary & -dictionary or 1)  # of 2^n or 2^n + 2^(n-1)
    return dictionary >= 1 << 12 and odd_part in (1, 3) and -1 <= size < 1 << 40


def _may_be_bson(head: bytes) -> bool:
    """Returns whether the bytes begin like a document: a length, a field's type, its name."""
    if not bson_document.framed_length(head, 0):
        return False
    kind, (name, _, _) = head[4], head[5:].partition(b'\0')
    return kind == 0 or (kind in _BSON_TYPES and b'\0' in head[5:] and _is_printable(name))


def _is_printable(text: bytes) -> bool:
    try:
        return text.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _is_text(data: bytes) -> bool:
    """Returns whether the bytes are printable text of several lines or words."""
    controls = data.translate(None, bytes(range(0x20, 0x100)) + b'\t\n\r')
    ascii_bytes = len(data.translate(None, bytes(range(0x7F, 0x100))))
    return len(data) >= 16 and not controls and 2 * ascii_bytes > len(data)
