r"""Simulates the write stage of the shard job on an object store: which reads, how many workers.

  python -m benchmarks.shard_groups --products=7069896

The plan is the job's own, for a dump with Kaggle's classes in random order. For each way to divide
the work, the reads are counted; their time and that of the writes follow from assumed rates.
Nothing is read or written.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from absl import flags

from beam_pipelines import table
from beam_pipelines.options import BALANCES, ShardOptions
from beam_pipelines.plan import classes
from beam_pipelines.plan.classes import Layout
from beam_pipelines.table import Table
from beam_pipelines.write import cuts
from catalog import command_line
from catalog.listings import runs
from catalog.samples import french_tree, kaggle_plan
from catalog.shards import SPLITS

_PRODUCTS = flags.DEFINE_integer('products', 7_069_896, 'Number of products.', lower_bound=1)
_BALANCE = flags.DEFINE_enum('balance', 'none', sorted(BALANCES), 'Balance of the classes.')
_WORKERS = flags.DEFINE_list('workers', ['16', '50', '100', '200', '400'], 'Numbers of workers.')

PICTURE_BYTES = 5684
GAP_BYTES, REQUEST_BYTES = 256 << 10, 8 << 20  # of `catalog.sources.bson_files` on a store
BYTES_A_SECOND = 100e6  # of a worker, for reads and for writes: assumed
REQUEST_SECONDS = 0.05  # until the first byte: assumed
RUNS_AT_ONCE = 8  # requests for the runs of a shard


@dataclass(frozen=True)
class Work:
    """The work on one group, part or shard.

    Attributes:
      read_bytes: Bytes that are read.
      requests: Requests one after another.
      sent: All requests.
      written_bytes: Bytes that are written.
    """

    read_bytes: int
    requests: float
    sent: int
    written_bytes: int

    @property
    def seconds(self) -> float:
        """The time of one worker."""
        moved = (self.read_bytes + self.written_bytes) / BYTES_A_SECOND
        return moved + self.requests * REQUEST_SECONDS


def deal(products: int, options: ShardOptions) -> tuple[Table, Layout]:
    """Returns one row per record, with the bytes of its product, and the layout."""
    plan = kaggle_plan.build_plan(
        kaggle_plan.Options(products=products, test_products=0, classes=french_tree.KAGGLE_CLASSES)
    )
    rows = table.empty(products)
    rows['product_id'] = np.arange(products)
    rows['label'] = plan.label
    rows['length'] = np.diff(plan.first) * PICTURE_BYTES
    rows['offset'] = np.cumsum(rows['length'], dtype=np.int64) - rows['length']
    kept, counts, _ = classes.split_classes(rows, options)
    layout = classes.build_layout([counts], options)
    return classes.deal_classes(kept, layout, options), layout


def joint_reads(rows: Table) -> tuple[int, int]:
    """Returns the bytes and the number of the reads that fetch the rows, near ones jointly."""
    offset, first = np.unique(rows['offset'], return_index=True)
    end = offset + rows['length'][first]
    apart = (offset[1:] - end[:-1] > GAP_BYTES) | (
        offset[1:] // REQUEST_BYTES != offset[:-1] // REQUEST_BYTES
    )
    begins = np.append(0, np.flatnonzero(apart) + 1)
    ends = np.append(begins[1:], len(offset)) - 1
    return int((end[ends] - offset[begins]).sum()), len(begins)


def by_groups(dealt: Table, layout: Layout, groups: int) -> Iterator[Work]:
    """Yields the work of groups of neighbouring shards, each read together."""
    counts = np.array([layout.shards.get(split, 1) for split in SPLITS])
    group = dealt['shard'].astype(np.int64) * groups // counts[dealt['split']]
    for _, rows in runs.groups(dealt, group):
        read_bytes, requests = joint_reads(rows)
        yield Work(read_bytes, requests, requests, int(rows['length'].sum(dtype=np.int64)))


def parts(dealt: Table) -> Iterator[Work]:
    """Yields the work of copying each part of the source."""
    for _, rows in runs.groups(dealt, cuts.part_numbers(dealt)):
        read_bytes, requests = joint_reads(rows)
        yield Work(read_bytes, requests, requests, int(rows['length'].sum(dtype=np.int64)))


def shards_of_parts(dealt: Table) -> Iterator[Work]:
    """Yields the work of writing each shard from the parts."""
    shard = (dealt['split'].astype(np.int64) << 32) + dealt['shard']
    for _, rows in runs.groups(dealt, shard):
        number = len(np.unique(cuts.part_numbers(rows)))
        total = int(rows['length'].sum(dtype=np.int64))
        yield Work(total, number / RUNS_AT_ONCE, number, total)


def makespan(seconds: Iterable[float], workers: int) -> float:
    """Returns when the last worker ends, if each takes the longest work that is left."""
    busy = [0.0] * workers
    for length in sorted(seconds, reverse=True):
        heapq.heapreplace(busy, busy[0] + length)
    return max(busy)


def _row(name: str, stages: list[list[Work]], written: int, workers: list[int]) -> str:
    units = ' + '.join(str(len(stage)) for stage in stages)
    work = [one for stage in stages for one in stage]
    read = sum(one.read_bytes for one in work) / written
    requests = sum(one.sent for one in work) / (written / 2**20)
    minutes = [
        sum(makespan((one.seconds for one in stage), number) for stage in stages) / 60
        for number in workers
    ]
    times = ' | '.join(f'{value:.1f}' for value in minutes)
    return f'| {name} | {units} | {read:.2f} | {requests:.2f} | {times} |'


def todays_groups(counts: npt.NDArray[np.int64]) -> int:
    """Returns the number of groups of a source that is not cut."""
    return int(max(counts.min(), -(-counts.max() // 16)))


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    workers = [int(number) for number in _WORKERS.value]
    dealt, layout = deal(_PRODUCTS.value, ShardOptions(balance=_BALANCE.value))
    written = int(dealt['length'].sum(dtype=np.int64))
    print(f'{written / 1e9:.1f} GB in {layout.shards}, {len(dealt):,} records', flush=True)
    columns = ' | '.join(f'{number} workers' for number in workers)
    print(f'| | units of work | read / written | requests / MiB | {columns} |')
    print('|' + '---|' * (4 + len(workers)))
    uncut = todays_groups(np.array(list(layout.shards.values())))
    for groups in sorted({uncut, layout.shards['train']}):
        work = list(by_groups(dealt, layout, groups))
        print(_row(f'{groups} groups', [work], written, workers), flush=True)
    stages = [list(parts(dealt)), list(shards_of_parts(dealt))]
    print(_row('parts, then shards', stages, written, workers), flush=True)


if __name__ == '__main__':
    command_line.run(main)
