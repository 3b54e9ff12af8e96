"""`manifest.json`: written last, it makes a folder of shards a data set.

Form: docs/formats.md. A folder without a manifest is not a data set, whatever else lies in it.
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
    """One shard file: its name, what is in it, and its SHA-256 in hex."""

    file: str
    records: int
    pictures: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Split:
    """One split. The lists are by label, empty in unlabelled data.

    Attributes:
      shards: in order of their index.
      records_per_class: as written, copies included.
      pictures_per_class: as written, copies included.
      products_per_class: distinct products.
    """

    shards: tuple[Shard, ...]
    records_per_class: tuple[int, ...]
    pictures_per_class: tuple[int, ...]
    products_per_class: tuple[int, ...]

    @property
    def records(self) -> int:
        """Records in all shards."""
        return sum(shard.records for shard in self.shards)

    @property
    def pictures(self) -> int:
        """Pictures in all shards."""
        return sum(shard.pictures for shard in self.shards)

    @property
    def bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.bytes for shard in self.shards)


@dataclass(frozen=True)
class Manifest:
    """What a data set is, where it came from, and where every input went.

    Attributes:
      options: the options that change the result, by name.
      source: `fingerprint` (hex; of the products, whatever they were read from), `documents`,
        `pictures` and `picture_bytes`.
      categories: `sha256` of category_names.csv and `count`; the file lies beside the manifest.
      splits: by name.
      priors: class shares by label: `natural`, of all products that were kept, and `written`, of
        the train records.
      ledger: `documents` and `pictures`: `read`, then where each went, by name; and `notes`, counts
        that are not a place.
    """

    options: Mapping[str, Any]
    source: Mapping[str, Any]
    categories: Mapping[str, Any]
    splits: Mapping[str, Split]
    priors: Mapping[str, tuple[float, ...]]
    ledger: Mapping[str, Mapping[str, int]]
    schema_version: int = SCHEMA_VERSION


def to_bytes(manifest: Manifest) -> bytes:
    """The manifest as JSON, one form for one content."""
    # Lists of numbers on one line: 5,270 classes would be 5,270 lines a list otherwise.
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
    """Makes a folder a data set."""
    storage.write_bytes(storage.join(folder, FILE_NAME), to_bytes(manifest))


def digest(folder: str) -> str:
    """The SHA-256 of a data set's manifest, in hex: the data set's identity."""
    return hashlib.sha256(storage.read_bytes(storage.join(folder, FILE_NAME))).hexdigest()


def read(folder: str) -> Manifest:
    """Reads a data set's manifest.

    Raises:
      UserError: if the folder has no manifest, or one that this version cannot read.
    """
    path = storage.join(folder, FILE_NAME)
    try:
        document = json.loads(storage.read_bytes(path))
    except FileNotFoundError as error:
        raise UserError(
            f'{folder}: a data set must have a {FILE_NAME}, got none; '
            'beam_pipelines.shard writes it last'
        ) from error
    except ValueError as error:
        raise UserError(f'{path}: must be JSON, got: {error}') from error
    version = document.get('schema_version') if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        raise UserError(
            f'{path}: schema_version must be {SCHEMA_VERSION}, got {version}; '
            'make the data set again with beam_pipelines.shard'
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
    """The category tree of a data set.

    Raises:
      UserError: if the file beside the manifest is not the one that the manifest names.
    """
    path = storage.join(folder, categories.FILE_NAME)
    tree = categories.load(path)
    if tree.sha256 != manifest.categories['sha256']:
        raise UserError(
            f'{path}: its SHA-256 must be {manifest.categories["sha256"]} as the manifest says, '
            f'got {tree.sha256}'
        )
    return tree


def get_split(manifest: Manifest, name: str, *, folder: str) -> Split:
    """One split of a data set.

    Raises:
      UserError: naming the splits there are.
    """
    if name not in manifest.splits:
        raise UserError(f'{folder}: split must be one of {sorted(manifest.splits)}, got {name!r}')
    return manifest.splits[name]


def check_files(folder: str, split: Split) -> None:
    """Checks that a split's shards are there and of the right size.

    Raises:
      UserError: naming the shard that is missing, of another size, or not a shard.
    """
    present = set(storage.list_files(folder))
    for shard in split.shards:
        path = storage.join(folder, shard.file)
        if shards.parse(shard.file) is None:
            raise UserError(f'{path}: must be named like a shard')
        if shard.file not in present:
            raise UserError(f'{path}: the manifest names this shard, but there is no such file')
        found_bytes = storage.size(path)
        if found_bytes != shard.bytes:
            raise UserError(f'{path}: must have {shard.bytes} bytes, got {found_bytes}')
