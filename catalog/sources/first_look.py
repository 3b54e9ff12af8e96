"""Looks at the first bytes and documents of a source: a wrong one ends the job in seconds."""

import difflib
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from catalog import object_store, storage
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.formats import bson_document, bson_fields, containers
from catalog.formats.bson_document import BadDocument
from catalog.schema import product_document, proposal
from catalog.schema.fields import OWN_NAMES, Fields
from catalog.schema.product_document import Schema
from catalog.sources import gzip_copies
from catalog.sources.source import Source
from catalog.terminal import counted

_MOST_DOCUMENTS = 2_000
_PROPOSED_FROM = 20  # documents
_MOST_TYPES = 4  # different ones of a field, in a message

_ID_TYPES = 'integer, string, ObjectId or UUID'
_CONVERT = 'convert the fields, for example with a view of MongoDB, and export them again'


def check_containers(paths: Sequence[str]) -> None:
    """Checks that files are not in another format, by their first bytes.

    Raises:
      UserError: Naming the first file that is, its format, and what to do.
    """
    with ThreadPoolExecutor(object_store.REQUESTS_AT_ONCE) as pool:
        for path, head in zip(paths, pool.map(_head, paths), strict=True):
            if head and gzip_copies.is_gzip(path):
                _check_gzip(path, head)
            else:
                _check_container(path, head)


def check_unpacked(path: str, *, copy: str) -> None:
    """Checks that the unpacked copy of a gzip file is not in another format.

    Raises:
      UserError: Naming the format, and what to do.
    """
    _check_container(f'{path}, unpacked', _head(copy))


def check_products(
    source: Source,
    categories: Categories | None,
    fields: Fields = OWN_NAMES,
    *,
    unlabelled_too: bool = False,
) -> None:
    """Checks that some of the first documents of a source are usable.

    Args:
      source: The source. Photos are not checked.
      categories: The category tree. None for unlabelled data.
      fields: Names of the fields.
      unlabelled_too: Whether a product without a category is usable.

    Raises:
      UserError: Naming the fields that were found, what is wrong with them, and what to do. Also if
        none of many documents has the field of the group.
    """
    schema = Schema(fields, text_ids=True)
    reasons: Counter[str] = Counter()
    unusable: list[bytes] = []
    types: dict[str, Counter[str]] = {}
    others: dict[str, None] = {}
    first_place = ''
    usable = 0
    for place, document in itertools.islice(source.first_documents(), _MOST_DOCUMENTS):
        first_place = first_place or place
        reason = _unusable(document, categories, schema, unlabelled_too=unlabelled_too)
        if reason is None:
            usable += 1
            if _has_group(document, schema):
                return
            for name, _ in _fields(document):
                others[name] = None
            continue
        reasons[reason] += 1
        unusable.append(document)
        for name, kind in _fields(document):
            types.setdefault(name, Counter())[kind] += 1
    if usable:
        nearest = difflib.get_close_matches(fields['group'], others, 1)
        raise UserError(
            f'{first_place}: a group must be a field of some product, got {fields["group"]}, which '
            f'none of the first {usable} has; '
            + (f'did you mean group={nearest[0]}?' if nearest else f'they have {", ".join(others)}')
        )
    count = reasons.total()
    if not count:
        if source.guesses_starts():
            raise UserError(
                f'{source.file_name(0)}: must contain BSON documents, got data of an unknown '
                'format; is it the right file, and was it exported with mongodump?'
            )
        return
    found = {name: ' or '.join(list(kinds)[:_MOST_TYPES]) for name, kinds in types.items()}
    reason = reasons.most_common(1)[0][0]
    proposed = proposal.propose_fields(
        unusable[:_PROPOSED_FROM],
        lambda document, fields: _unusable(document, categories, Schema(fields, text_ids=True)),
        fields,
        labelled=categories is not None,
    )
    if proposed:
        reason += f'; try --fields={proposed}'
    elif '; ' not in reason and reason[-1:] != '?':
        reason += f'; {_CONVERT}'
    expected = _expected(fields, labelled=categories is not None)
    raise UserError(
        f'{first_place}: must contain products {expected}, got {counted(count, "document")} '
        f'without a usable one, {bson_fields.format_fields(found)}: {reason}'
    )


def _unusable(
    document: bytes,
    categories: Categories | None,
    schema: Schema,
    *,
    unlabelled_too: bool = False,
) -> str | None:
    """Returns why a document is not usable and what to do, or None if it is."""
    name = schema.fields['category_id']
    try:
        product = product_document.parse(document, schema=schema)
    except BadDocument as error:
        return str(error)
    if categories is None:
        return None
    value = product.category or product.category_id
    if value is None and unlabelled_too:
        return None
    if value is None:
        return f'a product must have the field {name}, got none; --unlabelled reads data without'
    if categories.find(value) is not None:
        return None
    return (
        f'{name} {value!r} is not in the category tree; are --input and --categories of the same '
        'shop?'
    )


def _has_group(document: bytes, schema: Schema) -> bool:
    """Returns whether a usable document has the group that was asked for, if one was."""
    if not schema.fields.is_renamed('group'):
        return True
    return product_document.parse(document, schema=schema).group is not None


def _expected(fields: Fields, *, labelled: bool) -> str:
    """Returns the fields of a product, as `bson_fields.format_fields` shows them."""
    expected = {
        fields['_id']: _ID_TYPES,
        fields['imgs']: f'[{{{fields["picture"]}: binary}}]',
    }
    if labelled:
        expected[fields['category_id']] = _ID_TYPES
    return bson_fields.format_fields(expected)


def _fields(document: bytes) -> Iterator[tuple[str, str]]:
    try:
        yield from bson_fields.describe_fields(document).items()
    except BadDocument:
        return


def _head(path: str) -> bytes:
    with storage.open_reader(path) as reader:
        return reader.read_at(0, containers.HEAD_BYTES)


def _check_gzip(path: str, head: bytes) -> None:
    if head.startswith(containers.GZIP):
        return
    name, remedy = 'another format', 'get the file again'
    if bson_document.framed_length(head, 0):
        name, remedy = 'BSON documents', 'give it a name that does not end with .gz'
    name, remedy = containers.recognize(head) or (name, remedy)
    raise UserError(f'{path}: must be gzip, as its name says, got {name}; {remedy}')


def _check_container(path: str, head: bytes) -> None:
    found = containers.recognize(head)
    if found:
        name, remedy = found
        raise UserError(f'{path}: must be BSON documents, got {name}; {remedy}')
