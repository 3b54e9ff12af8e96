"""Which shards one worker writes one after another, and what a read brings along for the next.

On an object store a read costs a request, so pictures that lie near each other are read in one
piece. Between the products of a train shard lie those of validation: what comes along for a shard
that is still to be written is kept, up to a limit, and not read again.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from beam_pipelines.sources.bson_files import BsonFiles
from beam_pipelines.sources.source import Source
from beam_pipelines.table import Table, join
from beam_pipelines.write.gather import Gathered, Gatherer
from catalog import storage
from catalog.shards import SPLITS, ShardName

_MOST_SHARDS = 16  # of a split in a group: the groups are what workers share out
_KEPT_BYTES = 256 << 20  # pictures in memory for shards that are still to be written
_NEAR_BYTES = 256 << 10  # what the source reads in one piece

Group = tuple[str, int]


def group_of(name: ShardName, counts: Mapping[str, int], *, source: Source) -> Group:
    """The group that a shard is written in: but for dumps on a store, each is one of its own.

    Shards of a group draw from about the same part of the source.

    Args:
      name: of the shard.
      counts: shards by split.
      source: that is read.
    """
    if not (isinstance(source, BsonFiles) and storage.is_remote(source.name(0))):
        return name.split, name.index
    groups = max(min(counts.values()), -(-max(counts.values()) // _MOST_SHARDS))
    return '', name.index * groups // name.count


def gather(gatherer: Gatherer, shards: Mapping[ShardName, Table]) -> Iterator[Gathered]:
    """Writes the shards of a group, train first."""
    names = sorted(shards, key=lambda name: (SPLITS.index(name.split), name.index))
    if len(names) == 1:
        yield gatherer.gather(names[0], shards[names[0]])
        return
    kept: dict[int, bytes] = {}
    for number, name in enumerate(names):
        later = join(shards[other] for other in names[number + 1 :])
        fetch = functools.partial(_fetch, gatherer.source, kept, later)
        yield dataclasses.replace(gatherer, fetch=fetch).gather(name, shards[name])


def _fetch(source: Source, kept: dict[int, bytes], later: Table, rows: Table) -> list[bytes]:
    """The pictures of `rows`; those of `later` that lie between them go into `kept`."""
    missing = rows[~np.isin(_places(rows), list(kept))]
    along = _along(missing, later)
    room = _KEPT_BYTES - sum(map(len, kept.values()))
    asked = join([missing, along[np.cumsum(along['length']) <= room]])
    came = source.fetch(asked) if len(asked) else []
    found = kept | dict(zip(_places(asked).tolist(), came, strict=True))
    wanted = set(_places(later).tolist())
    kept.clear()
    kept.update((place, found[place]) for place in wanted & found.keys())
    return [found[place] for place in _places(rows).tolist()]


def _along(rows: Table, later: Table) -> Table:
    """The pictures of `later`, each once, that lie between `rows` that are read in one piece."""
    if not len(rows) or not len(later):
        return later[:0]
    begins = np.sort(_places(rows))
    ends = np.sort(_places(rows) + rows['length'])
    first = np.flatnonzero(np.append(True, begins[1:] - ends[:-1] > _NEAR_BYTES))
    last = np.append(first[1:], len(begins)) - 1
    places, where = np.unique(_places(later), return_index=True)
    later = later[where]
    run = np.searchsorted(begins[first], places, side='right') - 1
    inside = (run >= 0) & (places + later['length'] <= ends[last[run]])
    return later[inside & ~np.isin(places, begins)]


def _places(rows: Table) -> npt.NDArray[np.int64]:
    """Where each picture lies, in all files, as one number."""
    return (rows['file'].astype(np.int64) << 44) + rows['offset']
