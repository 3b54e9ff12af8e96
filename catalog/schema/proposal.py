"""Proposes the `--fields` that fit documents of another schema."""

import itertools
from collections.abc import Callable, Iterator, Sequence

from catalog.formats import bson_document
from catalog.formats.bson_document import BadDocument
from catalog.schema.fields import Fields

_DOCUMENT, _ARRAY, _BINARY = 0x03, 0x04, 0x05
_ID_TYPES = frozenset({0x01, 0x02, 0x05, 0x07, 0x10, 0x12, 0x13})
_MOST_DEPTH = 2  # documents within the document
_MOST_FIELDS = 100
_CATEGORY_WORDS = ('categor', 'cat', 'class', 'label', 'taxonomy', 'leaf')  # the likeliest first

_ID_WORDS = ('sku', 'product', 'item', 'id')

Unusable = Callable[[bytes, Fields], str | None]


def propose_fields(
    documents: Sequence[bytes], unusable: Unusable, fields: Fields, *, labelled: bool
) -> str:
    """Returns the `our=theirs` pairs with which most documents are usable, or ''.

    Args:
      documents: Documents without a usable product.
      unusable: Returns why a document is unusable with given fields, or None if it is usable.
      fields: The fields that were given.
      labelled: Whether products need a category.
    """
    best, best_count = '', 0
    candidates = _candidates(documents[:1], fields, labelled=labelled)
    for candidate in itertools.islice(candidates, _MOST_FIELDS):
        count = sum(unusable(document, candidate) is None for document in documents)
        if count > best_count:
            best, best_count = _format(candidate), count
    return best


def _format(fields: Fields) -> str:
    return ','.join(f'{ours}={theirs}' for ours, theirs in fields.renamed if ours != theirs)


def _candidates(documents: Sequence[bytes], fields: Fields, *, labelled: bool) -> Iterator[Fields]:
    for document in documents:
        try:
            found = list(itertools.islice(_fields(document, 0, '', 0), _MOST_FIELDS))
            pictures = list(_pictures(document, found))
        except BadDocument:
            continue
        kept = dict(fields.renamed)
        names = {name for name, _, _ in found}
        if fields['_id'] not in names:
            ids = [name for name, kind, _ in found if kind in _ID_TYPES]
            ids = [name for name in ids if _likelihood(name) == len(_CATEGORY_WORDS)]
            if ids:
                kept['_id'] = min(ids, key=_id_likelihood)
        categories: list[str] = [fields['category_id']]
        if labelled:
            others = [name for name, kind, _ in found if kind in _ID_TYPES and name != '_id']
            categories += sorted(others, key=_likelihood)
        for category in categories:
            for imgs, picture in pictures:
                renamed = {'imgs': imgs, 'picture': picture, 'category_id': category}
                changed = {
                    ours: theirs
                    for ours, theirs in renamed.items()
                    if theirs and (theirs != ours or ours in kept)
                }
                yield Fields(tuple((kept | changed).items()))


def _id_likelihood(name: str) -> int:
    """Returns a number that is the lower, the more a name seems to be a product id's."""
    words = (rank for rank, word in enumerate(_ID_WORDS) if word in name.lower())
    return next(words, len(_ID_WORDS))


def _likelihood(name: str) -> int:
    """Returns a number that is the lower, the more a name seems to be a category's."""
    lower = name.lower()
    words = (rank for rank, word in enumerate(_CATEGORY_WORDS) if word in lower)
    return next(words, len(_CATEGORY_WORDS))


def _fields(document: bytes, start: int, prefix: str, depth: int) -> Iterator[tuple[str, int, int]]:
    """Yields the fields of a document and of those within it: path, type, offset of the value."""
    for name, kind, at in bson_document.read_fields(document, start):
        path = prefix + name.decode(errors='replace')
        yield path, kind, at
        if kind == _DOCUMENT and depth < _MOST_DEPTH:
            yield from _fields(document, at, f'{path}.', depth + 1)


def _pictures(document: bytes, found: Sequence[tuple[str, int, int]]) -> Iterator[tuple[str, str]]:
    """Yields the fields that may contain pictures: `imgs`, and `picture` in its elements or ''."""
    for path, kind, at in found:
        if kind == _BINARY and path != '_id':
            yield path, ''
        if kind == _ARRAY:
            for _, element_kind, element_at in bson_document.read_fields(document, at):
                if element_kind == _BINARY:
                    yield path, ''
                elif element_kind == _DOCUMENT:
                    for name, inner_kind, _ in _fields(document, element_at, '', 0):
                        if inner_kind == _BINARY:
                            yield path, name
