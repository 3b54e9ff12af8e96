"""Reads the product of a BSON document, and the offsets of its pictures in the bytes.

Fields may be in any order, and unknown fields are skipped. `--fields` renames them. Pictures are an
array of documents that contain one, an array of binaries, or one binary. An id or category may have
any type that `catalog.schema.values` reads. Lengths, terminators and types are checked. Splitting a
dump into documents is the job of its source.
"""

import contextlib
import functools
import itertools
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from catalog.formats import bson_document
from catalog.formats.bad_picture import BadPicture
from catalog.formats.bson_document import BadDocument
from catalog.schema import values
from catalog.schema.fields import DOCUMENT_FIELDS, OWN_NAMES, Fields
from catalog.shards import LABELLED_SPLITS

_INT32 = struct.Struct('<i')
_DOCUMENT, _ARRAY, _BINARY = 0x03, 0x04, 0x05
_OLD_BINARY = 0x02  # a binary subtype that repeats its length inside

# The layout of Kaggle's files, which is parsed in a few steps.
_HEAD = struct.Struct('<i5si6si')  # length, _id, its value, imgs, its length
_ENTRY = struct.Struct('<B2si9siB')  # 0x03, '0', length, picture, its length, its subtype
_TAIL = struct.Struct('<B13siB')  # end of imgs, category_id, its value, end
_ID, _IMGS, _PICTURE, _CATEGORY = (
    b'\x10_id\0',
    b'\x04imgs\0',
    b'\x05picture\0',
    b'\x10category_id\0',
)
_INDICES = tuple(b'%d\0' % index for index in range(10))
_ENTRY_BYTES = _ENTRY.size - 3  # an entry's document without the picture and the terminator
_GENERIC_BINARY = 0

# Types with which the first field of a product may begin, in a regular expression.
_FIRST_TYPES = rb'[\x01-\x05\x07\x10\x12\x13]'

_Value = tuple[int, int]  # type, offset of the value


# A tuple, because millions are created, and a dataclass takes four times as long.
class Product(NamedTuple):
    """A product.

    Attributes:
      product_id: The id, or the number of its key.
      category_id: The shop's category id; None if the document has none, or has a text.
      pictures: (offset, length) of each picture in the parsed bytes, in source order.
      key: The id as in the source if it is not an integer, else ''.
      category: The category if it is a text, else ''.
      unreadable: Errors of pictures that are not there, by index in `pictures`.
      split: Name of the split that the shop has put the product in; '' if it has no splits.
      group: A number that the products of a group share. None if the product has no group.
    """

    product_id: int
    category_id: int | None
    pictures: tuple[tuple[int, int], ...]
    key: str = ''
    category: str = ''
    unreadable: tuple[tuple[int, BadPicture], ...] = ()
    split: str = ''
    group: int | None = None


@dataclass(frozen=True)
class Schema:
    """The schema of the documents of a source.

    Attributes:
      fields: The names of the fields.
      text_ids: Whether ids may be other than integers. If not, documents with such ids are
        rejected, so that a record of integer ids never has a key.
      first_field: Name of the first field of the source's first document.
    """

    fields: Fields = OWN_NAMES
    text_ids: bool = False
    first_field: bytes = b'_id'

    def is_usual(self) -> bool:
        """Returns whether documents may have the layout of Kaggle's files."""
        return not self.fields.renamed

    def key_bytes(self) -> int:
        """Returns the most bytes of a key; 0 if ids are integers."""
        return values.MAX_KEY_BYTES if self.text_ids else 0

    @functools.cached_property
    def names(self) -> dict[str, str]:
        """The shop's name of each field."""
        return {field: self.fields[field] for field in DOCUMENT_FIELDS}

    @functools.cached_property
    def picture_path(self) -> tuple[bytes, ...]:
        """The names from an element of the pictures to its bytes."""
        return self.fields.path('picture')

    @functools.cached_property
    def signature(self) -> re.Pattern[bytes]:
        """Matches a length and the first field of a product. A picture may contain such bytes."""
        paths = (self.fields.path(field) for field in ('_id', 'imgs', 'category_id'))
        names = dict.fromkeys((*(path[0] for path in paths), b'_id', self.first_field))
        alternatives = b'|'.join(map(re.escape, names))
        return re.compile(
            rb'(?=(?s:...)[\x00\x01]' + _FIRST_TYPES + rb'(?:' + alternatives + rb')\x00)'
        )

    @functools.cached_property
    def signature_bytes(self) -> int:
        """Most bytes that decide whether the signature matches."""
        paths = (self.fields.path(field) for field in ('_id', 'imgs', 'category_id'))
        return 4 + 1 + 1 + max(len(self.first_field), *(len(path[0]) for path in paths))

    @functools.cached_property
    def wanted(self) -> dict[bytes, list[tuple[str, tuple[bytes, ...]]]]:
        """The fields to read, by name of the top-level field: our name, path from there."""
        found: dict[bytes, list[tuple[str, tuple[bytes, ...]]]] = {}
        optional = [field for field in ('split', 'group') if self.fields.is_renamed(field)]
        for field in ('_id', 'imgs', 'category_id', *optional):
            first, *rest = self.fields.path(field)
            found.setdefault(first, []).append((field, tuple(rest)))
        return found


USUAL = Schema()
_LOOK_DOCUMENTS = 20


def recognize(documents: Iterable[bytes], fields: Fields) -> Schema:
    """Returns the schema of a source from its first documents."""
    first_field, text_ids = b'_id', False
    for number, document in enumerate(itertools.islice(documents, _LOOK_DOCUMENTS)):
        try:
            if not number:
                first_field = next(bson_document.read_fields(document, 0))[0]
            product = parse(document, schema=Schema(fields, text_ids=True))
        except (BadDocument, StopIteration):
            continue
        text_ids = text_ids or bool(product.key)
    return Schema(fields, text_ids, first_field)


def parse(data: bytes, start: int = 0, *, schema: Schema = USUAL) -> Product:
    """Parses the document that begins at `start`. Picture offsets are relative to `data`.

    Raises:
      BadDocument: `invalid_document` if the bytes are not a complete BSON document; `wrong_type` if
        an id, the pictures or a category have a wrong type; `no_id`; `no_pictures`; `key_too_long`.
    """
    length = bson_document.framed_length(data, start)
    if not length or start + length > len(data) or data[start + length - 1]:
        raise BadDocument('invalid_document', 'the document is incomplete')
    if not schema.fields.renamed:
        product = _parse_usual(data, start, start + length)
        if product is not None:
            return product
    product, end = parse_elements(data, start, start + length, schema=schema)
    if end != start + length:
        raise BadDocument('invalid_document', 'the document ends before its length')
    return product


def _parse_usual(data: bytes, start: int, end: int) -> Product | None:
    """Parses a document of Kaggle's layout; returns None if it has another layout."""
    if end - start < _HEAD.size + 2:
        return None
    _, id_name, product_id, imgs, imgs_length = _HEAD.unpack_from(data, start)
    if id_name != _ID or imgs != _IMGS:
        return None
    tail = start + _HEAD.size - 4 + imgs_length - 1
    category_id = None
    if tail == end - _TAIL.size:
        imgs_end, name, category_id, terminator = _TAIL.unpack_from(data, tail)
        if imgs_end or terminator or name != _CATEGORY:
            return None
    elif tail != end - 2 or data[tail] or data[end - 1]:  # unlabelled
        return None
    pictures = []
    at = start + _HEAD.size
    for index in _INDICES:
        if at + _ENTRY.size > tail:
            break
        kind, key, entry_length, name, length, subtype = _ENTRY.unpack_from(data, at)
        first = at + _ENTRY.size
        at += 3 + entry_length
        if (
            kind != _DOCUMENT
            or key != index
            or name != _PICTURE
            or subtype != _GENERIC_BINARY
            or length < 0
            or entry_length != length + _ENTRY_BYTES + 1
            or at > tail
            or data[at - 1]
        ):
            return None
        pictures.append((first, length))
    return Product(product_id, category_id, tuple(pictures)) if at == tail and pictures else None


def parse_elements(
    data: bytes, start: int, limit: int, *, schema: Schema = USUAL
) -> tuple[Product, int]:
    """Parses the fields of the document at `start`; returns its product and its end.

    Ignores the length field, so that a document with a damaged length is recognised. The end is the
    offset after the terminator.
    """
    found: dict[str, _Value] = {}
    pictures: list[tuple[int, int] | BadPicture] = []
    wanted, skip = schema.wanted, bson_document.skip
    at = start + 4
    try:
        while kind := data[at]:
            name_end = data.index(0, at + 1, limit)
            name = data[at + 1 : name_end]
            at = name_end + 1
            if name in wanted:
                for field, path in wanted[name]:
                    value = _descend(data, (kind, at), path, limit) if path else (kind, at)
                    if value and (field == '_id' or not values.is_null(value[0])):
                        found[field] = value
            at = skip(data, at, kind, limit)
        if at < limit and 'imgs' in found:
            pictures = _pictures(data, found['imgs'], limit, schema=schema)
    except (struct.error, IndexError, ValueError) as error:
        if not isinstance(error, BadDocument):
            error = BadDocument('invalid_document', 'the document ends within a field')
        raise _with_id(error, data, found, schema) from None
    if at >= limit:
        raise BadDocument('invalid_document', 'the document has no terminator')
    return _product(data, found, pictures, schema), at + 1


def _product(
    data: bytes,
    found: dict[str, _Value],
    pictures: list[tuple[int, int] | BadPicture],
    schema: Schema,
) -> Product:
    """Returns the product of a document from its fields."""
    number, key = _id(data, found, schema)
    try:
        usable = [picture for picture in pictures if isinstance(picture, tuple)]
        if not usable:
            raise _no_pictures(pictures)
        category_id, category = None, ''
        if 'category_id' in found:
            kind, at = found['category_id']
            name = schema.names['category_id']
            value = values.read_category(data, at, kind=kind, name=name)
            if isinstance(value, str):
                category = value
            else:
                category_id = value
        split, group = _split(data, found, schema), _group(data, found, schema)
    except BadDocument as error:
        error.product_id, error.key = number, key
        raise
    if len(usable) == len(pictures):
        return Product(number, category_id, tuple(usable), key, category, (), split, group)
    places, unreadable = [], []
    for index, picture in enumerate(pictures):
        if isinstance(picture, BadPicture):
            unreadable.append((index, picture))
            picture = (found['imgs'][1], 0)
        places.append(picture)
    return Product(
        number, category_id, tuple(places), key, category, tuple(unreadable), split, group
    )


def _id(data: bytes, found: dict[str, _Value], schema: Schema) -> values.Id:
    name = schema.names['_id']
    if '_id' not in found:
        raise BadDocument('no_id', f'a product must have the field {name}, got none')
    kind, at = found['_id']
    return values.read_id(data, at, kind=kind, name=name, text_ids=schema.text_ids)


def _split(data: bytes, found: dict[str, _Value], schema: Schema) -> str:
    """Returns the split that a document names, or '' if documents name none."""
    if not schema.fields.is_renamed('split'):
        return ''
    name, got = schema.names['split'], 'none'
    if 'split' in found:
        kind, at = found['split']
        text = values.read_text_or_none(data, at, kind=kind, name=name)
        if text in LABELLED_SPLITS:
            return text
        got = bson_document.type_name(kind) if text is None else repr(text)
    raise BadDocument(
        'unknown_split', f'{name} must be one of {", ".join(LABELLED_SPLITS)}, got {got}'
    )


def _group(data: bytes, found: dict[str, _Value], schema: Schema) -> int | None:
    """Returns the number of the group that a document names."""
    if 'group' not in found:
        return None
    kind, at = found['group']
    return values.read_id(data, at, kind=kind, name=schema.names['group'], text_ids=True).number


def _with_id(
    error: BadDocument, data: bytes, found: dict[str, _Value], schema: Schema
) -> BadDocument:
    """Returns an error with the id of its document, if that can be read."""
    with contextlib.suppress(BadDocument, struct.error, IndexError):
        error.product_id, error.key = _id(data, found, schema)
    return error


def _no_pictures(pictures: list[tuple[int, int] | BadPicture]) -> BadDocument:
    """Returns the error of a document without any picture."""
    if pictures:
        return BadDocument('wrong_type', str(pictures[0]))
    return BadDocument('no_pictures', 'a product must have pictures, got none')


def _pictures(
    data: bytes, value: _Value, limit: int, *, schema: Schema
) -> list[tuple[int, int] | BadPicture]:
    """Returns the place of each picture, or why it is none.

    Raises:
      BadDocument: `wrong_type` if the value cannot contain pictures.
    """
    kind, start = value
    if kind == _BINARY:
        return [_binary_place(data, start)]
    if kind == _DOCUMENT:
        picture = _picture(data, value, limit, schema=schema)
        if isinstance(picture, tuple):
            return [picture]
    if kind != _ARRAY:
        got = bson_document.type_name(kind)
        raise BadDocument(
            'wrong_type', f'{schema.names["imgs"]} must be an array or a binary, got {got}'
        )
    end = bson_document.nested_end(data, start, limit)
    pictures = []
    skip = bson_document.skip
    at = start + 4
    while kind := data[at]:
        at = data.index(0, at + 1, end) + 1
        pictures.append(_picture(data, (kind, at), end, schema=schema))
        at = skip(data, at, kind, end)
    if at != end - 1:
        raise BadDocument('invalid_document', 'imgs ends before its length')
    return pictures


def _picture(
    data: bytes, value: _Value, limit: int, *, schema: Schema
) -> tuple[int, int] | BadPicture:
    """Returns the place of the picture in an element of the pictures, or why it is none."""
    kind, at = value
    if kind == _DOCUMENT:
        inner = _descend(data, value, schema.picture_path, limit)
        if inner and inner[0] == _BINARY:
            return _binary_place(data, inner[1])
    name = f'an element of {schema.names["imgs"]}'
    if kind == _DOCUMENT:
        name = f'{schema.names["imgs"]}.{schema.names["picture"]}'
        if inner is None:
            return BadPicture('missing', f'{name} must be a binary, got none')
        kind, at = inner
    if kind == _BINARY:
        return _binary_place(data, at)
    if values.is_null(kind):
        return BadPicture('missing', f'{name} must be a binary, got null')
    return BadPicture('wrong_type', f'{name} must be a binary, got {bson_document.type_name(kind)}')


def _binary_place(data: bytes, at: int) -> tuple[int, int]:
    """Returns the offset and length of the bytes of a binary."""
    (length,) = _INT32.unpack_from(data, at)
    if data[at + 4] == _OLD_BINARY and length >= 4:
        return at + 9, length - 4
    return at + 5, length


def _descend(data: bytes, value: _Value, path: tuple[bytes, ...], limit: int) -> _Value | None:
    """Returns the value that a path leads to from another value, or None if there is none."""
    for name in path:
        kind, start = value
        if kind not in (_DOCUMENT, _ARRAY):
            return None
        found = None
        end = bson_document.nested_end(data, start, limit)
        at = start + 4
        while kind := data[at]:
            name_end = data.index(0, at + 1, end)
            if data[at + 1 : name_end] == name:
                found = kind, name_end + 1
            at = bson_document.skip(data, name_end + 1, kind, end)
        if at != end - 1:
            raise BadDocument('invalid_document', 'a nested document ends before its length')
        if found is None:
            return None
        value, limit = found, end
    return value
