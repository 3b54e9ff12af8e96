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

FILE_NAME = 'manifest.json'
SCHEMA_VERSION = 1


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
        `pictures` and `picture_bytes`.
      categories: `sha256` of category_names.csv, which is beside the manifest, and `count`.
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
        document = json.loads(storage.read_bytes(path))
    except FileNotFoundError as error:
        raise UserError(
            f'{folder}: a data set must have a {FILE_NAME}, got none; '
            'beam_pipelines.shard writes it last, so the job may not have finished'
        ) from error
    except ValueError as error:
        raise UserError(f'{path}: must be JSON, got: {error}') from error
    version = document.get('schema_version') if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        raise UserError(
            f'{path}: schema_version must be {SCHEMA_VERSION}, got {version}; '
            'write the data set again with beam_pipelines.shard'
        )
    try:
        return _from_document(document)
    except (KeyError, TypeError) as error:
        raise UserError(f'{path}: must follow docs/formats.md, got: {error!r}') from error


def _from_document(document: dict[str, Any]) -> Manifest:
    splits = {
        name: Split(
            shards=tuple(Shard(**shard) for shard in split['shards']),
            records_per_class=tuple(split['records_per_class']),
            pictures_per_class=tuple(split['pictures_per_class']),
            products_per_class=tuple(split['products_per_class']),
        )
        for name, split in document['splits'].items()
    }
    return Manifest(
        options=document['options'],
        source=document['source'],
        categories=document['categories'],
        splits=splits,
        priors={name: tuple(prior) for name, prior in document['priors'].items()},
        ledger=document['ledger'],
    )


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
        raise UserError(f'{folder}: split must be one of {sorted(manifest.splits)}, got {name!r}')
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
