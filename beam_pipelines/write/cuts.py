"""Cuts a large source on an object store into parts, so that any number of workers can read it.

A shard has products of all classes, so its pictures are spread over a large piece of the source.
The fewer shards a worker writes, the more it would read in vain, in more requests
(docs/scaling.md). So each part is read once, and its pictures are copied into a staged file, in the
order of the shards. Then a shard reads one run of bytes from each part that has pictures of it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from beam_pipelines import packing, table
from beam_pipelines.options import ShardOptions
from beam_pipelines.table import Table, sort_by, with_columns
from beam_pipelines.write.shard_groups import Group
from catalog import object_store, storage
from catalog.listings import runs
from catalog.shards import SPLITS
from catalog.sources.source import Source

_MOST_UNCUT_SHARDS = 16  # as many are written by one worker, which reads the source once anyway
_PART_BYTES = 128 << 20  # of the source: a worker holds the pictures of a part in memory
_FILE_SHIFT = 32  # bits of the number of a part within its file

# Number of the part, its staged file, and where the run of a shard begins in it.
Run = tuple[int, str, int]


def is_cut(source: Source, options: ShardOptions) -> bool:
    """Returns whether a source is cut: on an object store, if it gives more than a few shards."""
    if not source.joint_read_bytes():
        return False
    shards = options.shards or source.total_bytes() / (options.shard_mb * 1e6)
    return shards > _MOST_UNCUT_SHARDS


def split_into_parts(rows: Table) -> Iterator[tuple[int, bytes]]:
    """Yields the number of each part with its rows, packed."""
    return packing.pack_by_key(rows, part_numbers(rows), table.CUT)


def write_part(
    element: tuple[int, Iterable[bytes]], source: Source, staging: str
) -> Iterator[tuple[Group, Run]]:
    """Writes the pictures of a part, unless an earlier run has, and yields the runs of its shards.

    The file has each picture once for each shard that has it, by split, shard and place.
    """
    part, packed = element
    rows = sort_by(packing.unpack(packed, table.CUT), 'split', 'shard', 'offset')
    rows = rows.take(runs.starts(rows['split'], rows['shard'], rows['offset']))
    digest = hashlib.sha256(with_columns(rows, table.CUT).tobytes()).hexdigest()[:16]
    name = f'part-{part:016x}-{digest}'
    path = storage.join(staging, name)
    if not storage.exists(path):
        _, first, picture = np.unique(rows['offset'], return_index=True, return_inverse=True)
        pictures = list(source.fetch(rows.take(first)))
        with storage.write_atomic(path, large=True, synced=False) as file:
            for number in picture.tolist():
                file.write(pictures[number])
    begins = np.cumsum(rows['length'], dtype=np.int64) - rows['length']
    for start in runs.starts(rows['split'], rows['shard']).tolist():
        row = rows[start]
        yield (SPLITS[row['split']], int(row['shard'])), (part, name, int(begins[start]))


def fetch(shard_runs: Sequence[Run], staging: str, rows: Table) -> list[bytes]:
    """Returns the pictures of a shard, in the order of its rows.

    Args:
      shard_runs: The shard's run in each part that has pictures of it.
      staging: Folder of the staged files.
      rows: All rows of the shard.
    """
    parts = part_numbers(rows)
    order = np.lexsort([rows['offset'], parts])
    ordered, parts = rows.take(order), parts[order]
    starts = runs.starts(parts, ordered['offset'])  # copies of a picture are in the file once
    lengths = ordered['length'][starts]
    pieces = {int(part): lengths[bounds] for part, bounds in _bounds(parts[starts], len(starts))}

    def read(run: Run) -> tuple[int, list[bytes]]:
        part, name, begin = run
        ends = np.cumsum(pieces[part], dtype=np.int64)
        with storage.open_reader(storage.join(staging, name)) as reader:
            data = reader.read_at(begin, int(ends[-1]))
        places = zip((ends - pieces[part]).tolist(), ends.tolist(), strict=True)
        return part, [data[start:end] for start, end in places]

    with ThreadPoolExecutor(object_store.REQUESTS_AT_ONCE) as pool:
        found = dict(pool.map(read, shard_runs))
    pictures = [picture for part in pieces for picture in found[part]]
    number = runs.numbers(starts, len(ordered))
    inverse = np.empty(len(order), np.int64)
    inverse[order] = number
    return [pictures[place] for place in inverse.tolist()]


def _bounds(parts: npt.NDArray[np.int64], rows: int) -> Iterator[tuple[int, slice]]:
    """Yields each part and where its rows are."""
    starts = runs.starts(parts)
    ends = np.append(starts[1:], rows)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        yield parts[start], slice(start, end)


def part_numbers(rows: Table) -> npt.NDArray[np.int64]:
    """Returns the number of the part that each row is in, int64 [rows]."""
    return (rows['file'].astype(np.int64) << _FILE_SHIFT) + rows['offset'] // _PART_BYTES
