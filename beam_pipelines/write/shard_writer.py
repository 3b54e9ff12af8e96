"""Writes the rows of one shard to a file in the staging folder. Knows no Beam."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from beam_pipelines.options import ShardOptions
from beam_pipelines.plan import classes
from beam_pipelines.scan import pictures
from beam_pipelines.table import CONVERT, NEAR_COPY, PSEUDO, Table, key_bytes
from beam_pipelines.write.shard_file import ShardFile
from catalog import pixels, product_key, record, storage
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.listings import runs
from catalog.manifest import Shard
from catalog.process.folder_lock import Ownership
from catalog.record import Category, Record
from catalog.shards import SPLITS, ShardName
from catalog.sources.source import Source

# Pictures that are read, encoded and written together: enough to spread numpy's overhead, and few
# enough to stay in a processor's cache until they are written.
_BATCH_BYTES = 2 << 20

HELD_OUT = ('validation', 'test')  # only their records mark leaked pictures


@dataclass(frozen=True)
class WrittenShard:
    """A shard that was written.

    Attributes:
      split: Name of its split.
      index: Index of the shard in its split.
      shard: Entry of the manifest.
      by_label: Records, pictures, and pictures without copies, int64 [3, classes]; [3, 1] in
        unlabelled data, and [3, 0] once they are summed by split.
      units: Number of dealt units: products with copies, or pictures.
      leaked: Number of pictures that train contains too, as bytes or as a near copy.
      near_copies: Number of these of which train contains only near copies.
      converted: Number of pictures converted to RGB JPEG.
      resumed: Whether an earlier run had written the file.
    """

    split: str
    index: int
    shard: Shard
    by_label: npt.NDArray[np.int64]
    units: int
    leaked: int
    near_copies: int
    converted: int
    resumed: bool


@dataclass(frozen=True)
class ShardWriter:
    """Writes shards into a staging folder, and keeps those that an earlier run wrote.

    Attributes:
      source: Source of the pictures.
      categories: None for unlabelled data.
      options: Options of the data set.
      staging: Folder to write into.
      output: Folder of the data set, where an interrupted commit may have put shards.
      fetch: Fetches pictures instead of `source.fetch`.
      ownership: The right to write to the output. None if it is not locked.
    """

    source: Source
    categories: Categories | None
    options: ShardOptions
    staging: str
    output: str
    fetch: Callable[[Table], Iterable[bytes]] | None = None
    ownership: Ownership | None = None

    def write_shard(self, name: ShardName, rows: Table) -> WrittenShard:
        """Writes one shard from the rows of all its records."""
        rows, units = classes.order_shard(rows, SPLITS.index(name.split), self.options)
        records = _first_rows(rows, per_picture=self.options.record == 'image')
        digest = self._digest(rows)
        shard = self._written_before(name, digest)
        resumed = shard is not None
        if shard is None:
            shard = self._write(name, rows, records)
            receipt = {'rows': digest, 'shard': dataclasses.asdict(shard)}
            path = storage.join(self.staging, shard.file + '.json')
            storage.write_bytes(path, json.dumps(receipt).encode(), synced=False)
        labels, first, count = rows['label'], rows['copy'] == 0, self._count_by_label
        return WrittenShard(
            split=name.split,
            index=name.index,
            shard=shard,
            by_label=np.stack([count(labels[records]), count(labels), count(labels[first])]),
            units=units,
            leaked=int(np.count_nonzero(rows['leaked'])),
            near_copies=int(np.count_nonzero(rows['leaked'] == NEAR_COPY)),
            converted=int(np.count_nonzero(rows['traits'] & CONVERT)),
            resumed=resumed,
        )

    def _count_by_label(self, labels: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        if self.categories is None:
            return np.array([len(labels)], np.int64)
        return np.bincount(labels, minlength=len(self.categories)).astype(np.int64)

    def _digest(self, rows: Table) -> str:
        """Returns a digest of all that determines the shard: rows, options, categories."""
        digest = hashlib.sha256(rows.tobytes())
        digest.update(repr((self.options, self.categories and self.categories.sha256)).encode())
        return digest.hexdigest()

    def _written_before(self, name: ShardName, digest: str) -> Shard | None:
        file = name.file(compression=self.options.compression)
        try:
            receipt = json.loads(storage.read_bytes(storage.join(self.staging, file + '.json')))
        except (FileNotFoundError, json.JSONDecodeError):  # empty after a power failure
            return None
        if receipt['rows'] != digest:
            return None
        shard = Shard(**receipt['shard'])
        staged = storage.join(self.staging, file)
        # An interrupted commit has given some shards their final names.
        for path in (staged, storage.join(self.output, file)):
            if not storage.exists(path) or storage.size(path) != shard.bytes:
                continue
            # After a power failure, a disk may have the size of a file but not its bytes.
            trusted = path == staged and storage.is_remote(path)
            return shard if trusted or storage.sha256(path) == shard.sha256 else None
        return None

    def _write(self, name: ShardName, rows: Table, records: npt.NDArray[np.int64]) -> Shard:
        file_name = name.file(compression=self.options.compression)
        staged = storage.join(self.staging, file_name)
        with storage.write_atomic(staged, large=True, synced=False) as file:
            shard = ShardFile(file, compression=self.options.compression)
            fetched = iter((self.fetch or self.source.fetch)(rows))
            for batch, first in _batches(rows, records):
                data = self._convert(batch, list(itertools.islice(fetched, len(batch))))
                made = self._records(batch, first, data, held_out=name.split in HELD_OUT)
                shard.write(record.encode_all(list(made)))
            shard.close()
            if self.ownership:  # this worker may have outlived its driver
                self.ownership.require()
        return Shard(
            file=file_name,
            records=len(records),
            pictures=len(rows),
            bytes=shard.bytes,
            sha256=shard.sha256.hexdigest(),
        )

    def _convert(self, rows: Table, data: list[bytes]) -> list[bytes]:
        """Checks that the pictures are unchanged, and converts those that need it."""
        hashes = pictures.hashes128(data)
        same = hashes[:, 1] == rows['hash_low']
        if not same.all():
            row = rows[int(np.argmin(same))]
            key = row['key'].decode(errors='replace') if key_bytes(rows.dtype) else ''
            raise UserError(
                f'{self.source.file_name(int(row["file"]))}: must not change while it is read, but '
                f'product {key or row["product_id"]} was changed; run again'
            )
        for row in np.flatnonzero(rows['traits'] & CONVERT).tolist():
            data[row] = pixels.to_jpeg(data[row])
        return data

    def _records(
        self, rows: Table, first: npt.NDArray[np.int64], data: list[bytes], *, held_out: bool
    ) -> Iterator[Record]:
        """Yields the records that begin at the rows `first`."""
        # Lists, because reading single numpy rows would cost more than encoding the record.
        ids = rows['product_id'][first].tolist()
        labels = rows['label'][first].tolist()
        keys = [b''] * len(ids)
        if key_bytes(rows.dtype):
            texts = (product_key.decode(key) for key in rows['key'][first].tolist())
            keys = [product_key.encode(text) for text in texts]
        indices, leaked = rows['index'].tolist(), (rows['leaked'] != 0).astype(np.int64).tolist()
        pseudo_labels = (rows['traits'][first] & PSEUDO != 0).tolist()
        begins = first.tolist()
        categories = self._categories
        for product_id, label, pseudo, begin, end, key in zip(
            ids, labels, pseudo_labels, begins, [*begins[1:], len(rows)], keys, strict=True
        ):
            yield Record(
                product_id,
                data[begin:end],
                indices[begin:end],
                categories[pseudo][label] if categories else None,
                leaked[begin:end] if held_out else None,
                key,
            )

    @cached_property
    def _categories(self) -> dict[bool, list[Category]]:
        """The categories by label, of given labels and of pseudo-labels."""
        tree = self.categories
        if tree is None:
            return {}
        columns = [nodes.tolist() for nodes in (tree.ids, *tree.parents)]
        return {
            pseudo: [
                Category(label, category_id, tuple(parents), pseudo)
                for label, (category_id, *parents) in enumerate(zip(*columns, strict=True))
            ]
            for pseudo in (False, True)
        }


def group_by_shard(rows: Table, counts: dict[str, int]) -> Iterator[tuple[ShardName, Table]]:
    """Yields the name and rows of each shard.

    Args:
      rows: Rows with `split` and `shard`.
      counts: Number of shards by split.
    """
    for split, split_rows in runs.groups(rows, rows['split']):
        name = SPLITS[split]
        for index, shard_rows in runs.groups(split_rows, split_rows['shard']):
            yield ShardName(name, index, counts[name]), shard_rows


def _batches(
    rows: Table, first: npt.NDArray[np.int64]
) -> Iterator[tuple[Table, npt.NDArray[np.int64]]]:
    """Yields the rows of consecutive records, and where each of these begins in them."""
    ends = np.append(first[1:], len(rows))
    number = np.cumsum(rows['length'], dtype=np.int64)[ends - 1] // _BATCH_BYTES
    for begin, end in pairwise([*runs.starts(number).tolist(), len(first)]):
        yield rows[first[begin] : ends[end - 1]], first[begin:end] - first[begin]


def _first_rows(rows: Table, *, per_picture: bool) -> npt.NDArray[np.int64]:
    """Returns where each record's rows begin, int64 [records]."""
    if per_picture:
        return np.arange(len(rows))
    return runs.starts(rows['product_id'], rows['copy'])
