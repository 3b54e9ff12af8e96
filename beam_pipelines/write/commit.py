"""From staged files to a data set: what may be written over, final names, the manifest last.

A run stages everything in `OUTPUT/_staging`. Committing waits until the disk has it all, removes
the old manifest, then the old files, gives the new files their names and writes the new manifest. A
run that is cut off at any point leaves either the old data set, or no manifest and a staging folder
that `--resume` takes up.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from beam_pipelines.options import ShardOptions
from beam_pipelines.plan.assign import Layout
from beam_pipelines.scan.scan import Counts
from beam_pipelines.write import ledger, rejected
from beam_pipelines.write.gather import Gathered
from catalog import categories, manifest, object_store, shards, storage
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.manifest import Manifest, Split

STAGING = '_staging'


def staging_of(output: str) -> str:
    """The staging folder of an output."""
    return storage.join(output, STAGING)


def prepare(output: str, *, resume: bool, overwrite: bool) -> None:
    """Checks that a run may write to `output` and can, and clears what an earlier one staged.

    Raises:
      UserError: if there is a data set, or an unfinished one, and no flag says what to do.
      OSError: if nothing can be written there. Better now than after hours of reading.
    """
    if resume and overwrite:
        raise UserError('--resume and --overwrite: at most one may be given, got both')
    complete = storage.exists(storage.join(output, manifest.FILE_NAME))
    staged = bool(storage.list_files(staging_of(output)))
    # Both: a run with --overwrite was cut off before it committed, or just after.
    if complete and not overwrite and not (resume and staged):
        raise UserError(f'--output: {output} holds a data set; --overwrite replaces it')
    if staged and not (resume or overwrite):
        raise UserError(
            f'--output: {output} holds an unfinished run; --resume goes on with it, --overwrite '
            'starts again'
        )
    storage.check_writable(output)
    if not resume:
        storage.delete_folder(staging_of(output))


def build_manifest(
    gathered: Iterable[Gathered],
    *,
    by_label: Mapping[str, npt.NDArray[np.int64]],
    options: ShardOptions,
    tree: Categories | None,
    layout: Layout,
    counts: Counts,
    fingerprint: str,
) -> Manifest:
    """The manifest of the gathered shards.

    Args:
      gathered: all of them.
      by_label: by split, what the shards' `by_label` sum up to.
      options: of the run.
      tree: None for unlabelled data.
      layout: what was planned.
      counts: of everything that was read.
      fingerprint: of the source.

    Raises:
      RuntimeError: if the shards do not hold what the plan and the ledger say: our own fault.
    """
    by_split: dict[str, list[Gathered]] = {split: [] for split in sorted(layout.shards)}
    for shard in sorted(gathered, key=lambda shard: (shard.split, shard.index)):
        by_split[shard.split].append(shard)
        counts.notes['leaked_pictures'] += shard.leaked
        counts.notes['converted_pictures'] += shard.converted
    splits = {}
    for split, parts in by_split.items():
        rows = layout.counts[layout.counts['split'] == shards.SPLITS.index(split)]
        records, pictures, firsts = by_label[split]
        products = np.zeros(len(records), np.int64)
        if tree:
            products[rows['key']] = rows['products']
        splits[split] = Split(
            shards=tuple(part.shard for part in parts),
            records_per_class=tuple(records.tolist()) if tree else (),
            pictures_per_class=tuple(pictures.tolist()) if tree else (),
            products_per_class=tuple(products.tolist()) if tree else (),
        )
        _check(split, parts, int(firsts.sum()), layout=layout, rows=rows)
        counts.notes['copied_pictures'] += int(pictures.sum() - firsts.sum())
    ledger.check_sums(counts)
    picture_bytes = int(layout.counts['bytes'].sum())
    return Manifest(
        options=_options(options),
        source={
            'fingerprint': fingerprint,
            'documents': counts.documents[ledger.READ],
            'pictures': counts.pictures[ledger.READ],
            'picture_bytes': picture_bytes,
        },
        categories={'sha256': tree.sha256, 'count': len(tree)} if tree else {},
        splits=splits,
        priors=_priors(splits),
        ledger=ledger.as_mapping(counts),
    )


def _options(options: ShardOptions) -> dict[str, object]:
    return dataclasses.asdict(options)


def _check(
    split: str, parts: Sequence[Gathered], pictures: int, *, layout: Layout, rows: np.ndarray
) -> None:
    """What the shards hold against the plan: shards, units, and pictures without copies."""
    found = {
        'shards': len(parts),
        'units': sum(part.units for part in parts),
        'pictures': pictures,
    }
    planned = {
        'shards': layout.shards[split],
        'units': sum(layout.units[split].values()),
        'pictures': int(rows['pictures'].sum()),
    }
    if found != planned:
        raise RuntimeError(f'{split}: {planned} were planned, {found} are written')


def _priors(splits: dict[str, Split]) -> dict[str, tuple[float, ...]]:
    if 'train' not in splits:
        return {}
    natural = np.sum([split.products_per_class for split in splits.values()], axis=0)
    written = np.array(splits['train'].records_per_class)
    return {
        'natural': tuple((natural / natural.sum()).tolist()),
        'written': tuple((written / written.sum()).tolist()),
    }


def commit(
    output: str, *, made: Manifest, tree_bytes: bytes | None, staged_rejected: Sequence[str]
) -> None:
    """Gives the staged files their names and writes the manifest."""
    staging = staging_of(output)
    renames = {
        storage.join(staging, shard.file): storage.join(output, shard.file)
        for split in made.splits.values()
        for shard in split.shards
    }
    renames |= {
        storage.join(staging, name): storage.join(output, rejected.FOLDER, name)
        for name in staged_rejected
    }
    # What an earlier commit already renamed has no staged file any more.
    staged = {storage.join(staging, name) for name in storage.list_files(staging)}
    pending = {old: new for old, new in renames.items() if old in staged}
    with ThreadPoolExecutor(object_store.REQUESTS_AT_ONCE) as pool:
        list(pool.map(storage.sync, pending))
        storage.delete(storage.join(output, manifest.FILE_NAME))
        stale = _stale(output, keep=set(renames.values()) - set(pending.values()))
        list(pool.map(storage.delete, stale))
        list(pool.map(storage.rename, pending, pending.values()))
    if tree_bytes is not None:
        storage.write_bytes(storage.join(output, categories.FILE_NAME), tree_bytes)
    manifest.write(made, output)
    storage.delete_folder(staging)


def _stale(output: str, *, keep: set[str]) -> list[str]:
    """The files of an earlier data set, and what a killed process left half written."""
    names = storage.list_files(output)
    old = [storage.join(output, n) for n in names if shards.parse(n) or storage.is_temporary(n)]
    folder = storage.join(output, rejected.FOLDER)
    old += [storage.join(folder, name) for name in storage.list_files(folder)]
    return [path for path in old if path not in keep]
