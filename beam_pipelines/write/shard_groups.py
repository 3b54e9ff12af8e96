"""Groups shards that one worker writes in turn, so that they share reads.

On an object store a read costs a request, so pictures that are near each other are read in one
request. The products of validation are between those of a train shard: pictures that such a request
covers and that a later shard needs are kept, up to a limit, and not read again.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from beam_pipelines.table import Table, join
from beam_pipelines.write.shard_writer import ShardWriter, WrittenShard
from catalog.shards import SPLITS, ShardName
from catalog.sources.source import Source

_MAX_SHARDS = 16  # of one split in a group; more groups than workers keep all workers busy
_KEPT_BYTES = 256 << 20  # pictures in memory for later shards

Group = tuple[str, int]


def shard_group(
    name: ShardName, counts: Mapping[str, int], *, source: Source, is_cut: bool = False
) -> Group:
    """Returns the group of a shard: of its own, unless the source has joint reads and is not cut.

    Shards of a group read about the same part of the source.

    Args:
      name: Name of the shard.
      counts: Number of shards by split.
      source: The source that is read.
      is_cut: Whether shards read from parts of the source (`cuts`).
    """
    if is_cut or not source.joint_read_bytes():
        return name.split, name.index
    groups = max(min(counts.values()), -(-max(counts.values()) // _MAX_SHARDS))
    return '', name.index * groups // name.count


def write_group(writer: ShardWriter, shards: Mapping[ShardName, Table]) -> Iterator[WrittenShard]:
    """Writes the shards of a group, train first."""
    names = sorted(shards, key=lambda name: (SPLITS.index(name.split), name.index))
    if len(names) == 1:
        yield writer.write_shard(names[0], shards[names[0]])
        return
    kept: dict[int, bytes] = {}
    for number, name in enumerate(names):
        later = join(shards[other] for other in names[number + 1 :])
        fetch = functools.partial(_fetch, writer.source, kept, later)
        yield dataclasses.replace(writer, fetch=fetch).write_shard(name, shards[name])


def _fetch(source: Source, kept: dict[int, bytes], later: Table, rows: Table) -> list[bytes]:
    """Returns the pictures of `rows`, and puts those of `later` between them into `kept`."""
    missing = rows[~np.isin(_places(rows), list(kept))]
    covered = _covered(missing, later, gap_bytes=source.joint_read_bytes())
    room = _KEPT_BYTES - sum(map(len, kept.values()))
    wanted_rows = join([missing, covered[np.cumsum(covered['length']) <= room]])
    fetched = source.fetch(wanted_rows) if len(wanted_rows) else []
    found = kept | dict(zip(_places(wanted_rows).tolist(), fetched, strict=True))
    wanted = set(_places(later).tolist())
    kept.clear()
    kept.update((place, found[place]) for place in wanted & found.keys())
    return [found[place] for place in _places(rows).tolist()]


def _covered(rows: Table, later: Table, *, gap_bytes: int) -> Table:
    """Returns the pictures of `later`, each once, that the joint reads of `rows` cover."""
    if not len(rows) or not len(later):
        return later[:0]
    begins = np.sort(_places(rows))
    ends = np.sort(_places(rows) + rows['length'])
    first = np.flatnonzero(np.append(True, begins[1:] - ends[:-1] > gap_bytes))
    last = np.append(first[1:], len(begins)) - 1
    places, where = np.unique(_places(later), return_index=True)
    later = later[where]
    run = np.searchsorted(begins[first], places, side='right') - 1
    inside = (run >= 0) & (places + later['length'] <= ends[last[run]])
    return later[inside & ~np.isin(places, begins)]


def _places(rows: Table) -> npt.NDArray[np.int64]:
    """Returns where each picture is as one number. Offsets are below 2^44 bytes, 16 TiB."""
    return (rows['file'].astype(np.int64) << 44) + rows['offset']
