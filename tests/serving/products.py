"""Data sets of products whose photos have one colour, for the model of `colours`."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

from catalog import categories, manifest, record
from catalog.formats import tfrecord
from catalog.record import Record
from catalog.shards import ShardName
from tests.serving.colours import jpeg

TREE = categories.parse(
    b'category_id,category_level1,category_level2,category_level3\n'
    b'1000000100,SHOES,BOOTS,RED BOOTS\n'
    b'1000000200,SHOES,BOOTS,OTHER BOOTS\n'
    b'1000000300,BAGS,BAGS,BAGS\n',
    path='category_names.csv',
)

Colour = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Product:
    """A product whose photos have one colour each; bytes stand for themselves."""

    product_id: int
    colours: Sequence[Colour | bytes]
    label: int = 0
    key: bytes = b''

    def record(self) -> Record:
        node = tuple(int(nodes[self.label]) for nodes in TREE.parents)
        return Record(
            product_id=self.product_id,
            pictures=[c if isinstance(c, bytes) else jpeg(c) for c in self.colours],
            indices=list(range(len(self.colours))),
            category=record.Category(self.label, int(TREE.ids[self.label]), node),
            key=self.key,
        )


def write_data_set(folder: Path, products: Sequence[Product], *, shards: int = 2) -> str:
    """Writes products as a data set, and returns its folder."""
    return write_records(folder, [product.record() for product in products], shards=shards)


def write_records(folder: Path, records: Sequence[Record], *, shards: int = 2) -> str:
    """Writes records as the train split of a data set, and returns its folder."""
    folder.mkdir(parents=True)
    tree = categories.format_tree(TREE.ids.tolist(), TREE.names)
    (folder / categories.FILE_NAME).write_bytes(tree)
    written = []
    for index in range(shards):
        mine = records[index::shards]
        data = tfrecord.frames(record.encode_all(mine))
        file = ShardName('train', index, shards).file()
        (folder / file).write_bytes(data)
        pictures = sum(len(found.pictures) for found in mine)
        digest = hashlib.sha256(data).hexdigest()
        written.append(manifest.Shard(file, len(mine), pictures, len(data), digest))
    none = (0,) * len(TREE)
    prior = (1.0, *none[1:])
    manifest.write(
        manifest.Manifest(
            options={},
            source={'fingerprint': '0' * 32, 'documents': 0, 'pictures': 0, 'picture_bytes': 0},
            categories={'sha256': hashlib.sha256(tree).hexdigest(), 'count': len(TREE)},
            splits={'train': manifest.Split(tuple(written), none, none, none)},
            priors={'natural': prior, 'written': prior},
            ledger={'documents': {'read': 0}, 'pictures': {'read': 0}, 'notes': {}},
        ),
        str(folder),
    )
    return str(folder)
