"""`manifest.json`, the description of a data set. docs/formats.md specifies its keys.

It is written last: a folder without a manifest is not a data set, whatever else it contains.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catalog import categories, shards, storage
from catalog.errors import UserError
from catalog.typed_json import reader
from catalog.typed_json.reader import Value

FILE_NAME = 'manifest.json'
SCHEMA_VERSION = 1
EXTENDED_VERSION = 2  # keys, or other trees than of three levels with integer ids
PSEUDO_LABELLED = 'pseudo_labelled_products'  # a note of the ledger


@dataclass(frozen=True)
class Shard:
    """A shard file: its name, its contents, and its SHA-256 in hex."""

    file: str
    records: int
    pictures: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Split:
    """A split. The lists are indexed by label, and empty in unlabelled data.

    Attributes:
      shards: The shards by index.
      records_per_class: Written records, copies included.
      pictures_per_class: Written pictures, copies included.
      products_per_class: Distinct products.
    """

    shards: tuple[Shard, ...]
    records_per_class: tuple[int, ...]
    pictures_per_class: tuple[int, ...]
    products_per_class: tuple[int, ...]

    @property
    def records(self) -> int:
        """The number of records in all shards."""
        return sum(shard.records for shard in self.shards)

    @property
    def pictures(self) -> int:
        """The number of pictures in all shards."""
        return sum(shard.pictures for shard in self.shards)

    @property
    def bytes(self) -> int:
        """The size of all shards in bytes."""
        return sum(shard.bytes for shard in self.shards)


@dataclass(frozen=True)
class Manifest:
    """A data set: its contents, its source, and the destination of every input.

    Attributes:
      options: The options that change the result, by name.
      source: `fingerprint` (hex; depends on the products, not on the kind of source), `documents`,
        `pictures` and `picture_bytes`; and `products`, the name of the file that traces products,
        if ids are not all integers.
      categories: `sha256` of category_names.csv, which is beside the manifest, and `count`; and
        `levels`, if there are not three.
      splits: The splits by name.
      priors: Class shares by label: `natural` of all products that were kept, `written` of the
        train records.
      ledger: `documents` and `pictures`: the number `read`, then the number at each destination;
        and `notes`, counts that are not a destination.
    """

    options: Mapping[str, Any]
    source: Mapping[str, Any]
    categories: Mapping[str, Any]
    splits: Mapping[str, Split]
    priors: Mapping[str, tuple[float, ...]]
    ledger: Mapping[str, Mapping[str, int]]
    schema_version: int = SCHEMA_VERSION

    @property
    def train_products(self) -> int:
        """Number of distinct products in train."""
        return sum(self.splits['train'].products_per_class) if 'train' in self.splits else 0

    @property
    def pseudo_labelled_products(self) -> int:
        """Number of them whose label an earlier model predicted."""
        return self.ledger['notes'].get(PSEUDO_LABELLED, 0)


def to_bytes(manifest: Manifest) -> bytes:
    """Serializes a manifest as JSON. Equal manifests have equal bytes."""
    # Lists of numbers are on one line: with 5,270 classes, each would take 5,270 lines otherwise.
    document = dataclasses.asdict(manifest)
    return (_pretty(document, indent=0) + '\n').encode()


def _pretty(value: Any, *, indent: int) -> str:
    pad = ' ' * (indent + 1)
    if isinstance(value, Mapping) and value:
        rows = (
            f'{pad}{json.dumps(key)}: {_pretty(value[key], indent=indent + 1)}'
            for key in sorted(value)
        )
        return '{\n' + ',\n'.join(rows) + '\n' + ' ' * indent + '}'
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
        rows = (pad + json.dumps(item, sort_keys=True) for item in value)
        return '[\n' + ',\n'.join(rows) + '\n' + ' ' * indent + ']'
    return json.dumps(value)


def describe_tree(tree: categories.Categories) -> dict[str, Any]:
    """Returns the key `categories` of a data set."""
    levels = {} if tree.levels == categories.USUAL_LEVELS else {'levels': tree.levels}
    return {'sha256': tree.sha256, 'count': len(tree), **levels}


def schema_version(tree: categories.Categories | None) -> int:
    """Returns the version that can describe a data set; older programs refuse the later one."""
    usual = tree is None or (tree.levels == categories.USUAL_LEVELS and not tree.codes)
    return SCHEMA_VERSION if usual else EXTENDED_VERSION


def write(manifest: Manifest, folder: str) -> None:
    """Writes the manifest, which makes the folder a data set."""
    storage.write_bytes(storage.join(folder, FILE_NAME), to_bytes(manifest))


def digest(folder: str) -> str:
    """Returns the SHA-256 of a data set's manifest, in hex. It identifies the data set."""
    return hashlib.sha256(storage.read_bytes(storage.join(folder, FILE_NAME))).hexdigest()


def read(folder: str) -> Manifest:
    """Reads a data set's manifest.

    Raises:
      UserError: If the folder has no manifest, or one that this version cannot read.
    """
    path = storage.join(folder, FILE_NAME)
    try:
        data = storage.read_bytes(path)
    except FileNotFoundError as error:
        raise UserError(
            f'{folder}: a data set must have a {FILE_NAME}, got none; '
            'beam_pipelines.shard writes it last, so the job may not have finished'
        ) from error
    document = reader.parse(data, path=path)
    version = document.field('schema_version')
    if version.content not in (SCHEMA_VERSION, EXTENDED_VERSION):
        rule = f'be {SCHEMA_VERSION} or {EXTENDED_VERSION}, or write the data set again with '
        rule += 'beam_pipelines.shard'
        raise version.error(rule)
    return _from_document(document)


def _from_document(document: Value) -> Manifest:
    tree = document.field('categories')
    classes = tree.field('count').natural() if tree.fields() else 0
    if classes:
        tree.field('sha256').text()
    splits = {
        name: _split(value, classes) for name, value in document.field('splits').fields().items()
    }
    priors = document.field('priors')
    if 'train' in splits and classes:
        for name in ('natural', 'written'):
            priors.field(name)
    return Manifest(
        options={name: value.content for name, value in document.field('options').fields().items()},
        source=_source(document.field('source')),
        categories=tree.content,
        splits=splits,
        priors={
            name: tuple(share.fraction() for share in _per_class(prior, classes))
            for name, prior in priors.fields().items()
        },
        ledger=_ledger(document.field('ledger')),
        schema_version=document.field('schema_version').natural(),
    )


def _split(value: Value, classes: int) -> Split:
    def counts(name: str) -> tuple[int, ...]:
        numbers = value.field(name)
        return tuple(
            count.natural() for count in _per_class(numbers, classes if numbers.content else 0)
        )

    return Split(
        shards=tuple(_shard(shard) for shard in value.field('shards').items()),
        records_per_class=counts('records_per_class'),
        pictures_per_class=counts('pictures_per_class'),
        products_per_class=counts('products_per_class'),
    )


def _shard(value: Value) -> Shard:
    return Shard(
        file=value.field('file').text(),
        records=value.field('records').natural(),
        pictures=value.field('pictures').natural(),
        bytes=value.field('bytes').natural(),
        sha256=value.field('sha256').text(),
    )


def _per_class(value: Value, classes: int) -> list[Value]:
    """Returns the elements of an array with one element per class."""
    found = list(value.items())
    if len(found) != classes:
        raise UserError(
            f'{value.path}: {value.key} must have {classes} elements, as many as categories.count, '
            f'got {len(found)}'
        )
    return found


def _source(value: Value) -> Mapping[str, Any]:
    value.field('fingerprint').text()
    for name in ('documents', 'pictures', 'picture_bytes'):
        value.field(name).natural()
    return {name: part.content for name, part in value.fields().items()}


def _ledger(value: Value) -> Mapping[str, Mapping[str, int]]:
    for kind in ('documents', 'pictures'):
        value.field(kind).field('read')
    value.field('notes')
    return {
        kind: {place: count.natural() for place, count in places.fields().items()}
        for kind, places in value.fields().items()
    }


def read_categories(folder: str, manifest: Manifest) -> categories.Categories:
    """Loads the category tree of a data set.

    Raises:
      UserError: If the SHA-256 of the file is not the one in the manifest.
    """
    path = storage.join(folder, categories.FILE_NAME)
    tree = categories.load(path)
    if tree.sha256 != manifest.categories['sha256']:
        raise UserError(
            f'{path}: the SHA-256 must be {manifest.categories["sha256"]} as in the manifest, '
            f'got {tree.sha256}'
        )
    return tree


def get_split(manifest: Manifest, name: str, *, folder: str) -> Split:
    """Returns a split of a data set.

    Raises:
      UserError: If there is no such split, listing the existing ones.
    """
    if name not in manifest.splits:
        splits = ', '.join(sorted(manifest.splits))
        raise UserError(f'{folder}: the split must be one of {splits}, got {name!r}')
    return manifest.splits[name]


def check_files(folder: str, split: Split) -> None:
    """Checks that a split's shards exist and have the right size.

    Raises:
      UserError: Naming the first shard that is missing, has another size, or is not a shard.
    """
    present = set(storage.list_files(folder))
    for shard in split.shards:
        path = storage.join(folder, shard.file)
        if shards.parse(shard.file) is None:
            raise UserError(f'{path}: must have the name of a shard, as in docs/formats.md')
        if shard.file not in present:
            raise UserError(f'{path}: the manifest lists this shard, but the file is missing')
        found_bytes = storage.size(path)
        if found_bytes != shard.bytes:
            raise UserError(f'{path}: must have {shard.bytes} bytes, got {found_bytes}')
