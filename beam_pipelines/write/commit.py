"""Turns staged files into a data set: checks the output, renames files, writes the manifest last.

A run stages everything in `OUTPUT/_staging`. A commit waits until the disk has all files, deletes
the old manifest, then the old files, renames the new files and writes the new manifest. A run that
is interrupted at any point leaves either the old data set, or no manifest and a staging folder from
which `--resume` continues.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from beam_pipelines import ledger
from beam_pipelines.ledger import Counts
from beam_pipelines.options import ShardOptions
from beam_pipelines.plan.classes import Layout
from beam_pipelines.write import own_folder, rejected
from beam_pipelines.write.shard_writer import WrittenShard
from catalog import categories, manifest, object_store, product_key, shards, storage
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.manifest import Manifest, Split

STAGING = '_staging'


def staging_folder(output: str) -> str:
    """Returns the staging folder of an output."""
    return storage.join(output, STAGING)


def prepare(output: str, *, resume: bool, overwrite: bool) -> bool:
    """Checks that a run may and can write to `output`, and deletes what an earlier run staged.

    Returns:
      Whether there is a finished data set and nothing to resume. Then nothing was checked further.

    Raises:
      UserError: If there is a data set or an unfinished run, and neither flag is given for it; or
        files of someone else that a data set would replace.
      OSError: If nothing can be written there, which is better known before hours of reading.
    """
    for name in (STAGING, rejected.FOLDER):
        folder = storage.join(output, name)
        if not storage.is_remote(output) and os.path.islink(folder):
            raise UserError(f'{folder}: must be a folder, got a link; delete it')
    if resume and overwrite:
        raise UserError('--resume and --overwrite: at most one may be given, got both')
    complete = storage.exists(storage.join(output, manifest.FILE_NAME))
    staged = bool(storage.list_files(staging_folder(output)))
    # Both: a run with --overwrite was interrupted before it committed, or just after.
    if complete and resume and not staged:
        return True
    if complete and not (resume or overwrite):
        raise UserError(f'--output: {output} contains a data set; use --overwrite to replace it')
    if staged and not (resume or overwrite):
        raise UserError(
            f'--output: {output} contains an unfinished run; use --resume to continue it, or '
            '--overwrite to start again'
        )
    in_window = resume and storage.is_remote(output)  # all renamed, and no manifest yet
    if not (complete or overwrite or in_window):
        own_folder.check_own(output, staging=staging_folder(output), replaces=_replaces)
    storage.check_writable(output)
    if not resume:
        storage.delete_folder(staging_folder(output))
    return False


def _replaces(name: str) -> bool:
    """Returns whether a data set replaces a file or folder of this name."""
    names = (categories.FILE_NAME, product_key.PRODUCTS, rejected.FOLDER)
    return name in names or shards.parse(name) is not None


def build_manifest(
    written: Iterable[WrittenShard],
    *,
    by_label: Mapping[str, npt.NDArray[np.int64]],
    options: ShardOptions,
    tree: Categories | None,
    layout: Layout,
    counts: Counts,
    fingerprint: str,
) -> Manifest:
    """Builds the manifest of the written shards.

    Args:
      written: All shards.
      by_label: Sum of the shards' `by_label` by split.
      options: Options of the run.
      tree: None for unlabelled data.
      layout: The planned layout.
      counts: Counts of everything that was read.
      fingerprint: Fingerprint of the source.

    Raises:
      RuntimeError: If the shards differ from the layout or the ledger: a bug of this program.
    """
    total = Counts()  # a runner may call this again with the same counts
    total.add(counts)
    counts = total
    by_split: dict[str, list[WrittenShard]] = {split: [] for split in sorted(layout.shards)}
    for shard in sorted(written, key=lambda shard: (shard.split, shard.index)):
        by_split[shard.split].append(shard)
        counts.notes['leaked_pictures'] += shard.leaked
        if options.near_duplicates != 'off':
            counts.notes['near_duplicate_leaked_pictures'] += shard.near_copies
        counts.notes['converted_pictures'] += shard.converted
    splits = {}
    pseudo = np.zeros(len(tree) if tree else 0, np.int64)  # products by label
    for split, parts in by_split.items():
        rows = layout.counts[layout.counts['split'] == shards.SPLITS.index(split)]
        records, pictures, firsts = by_label[split]
        products = np.zeros(len(records), np.int64)
        if tree:
            products[rows['key']] = rows['products']
            pseudo[rows['key']] += rows['pseudo']
        splits[split] = Split(
            shards=tuple(part.shard for part in parts),
            records_per_class=tuple(records.tolist()) if tree else (),
            pictures_per_class=tuple(pictures.tolist()) if tree else (),
            products_per_class=tuple(products.tolist()) if tree else (),
        )
        _check(split, parts, int(firsts.sum()), layout=layout, rows=rows)
        counts.notes['copied_pictures'] += int(pictures.sum() - firsts.sum())
    if 'train' in splits and (missing := _classes_without_train(splits)):
        counts.notes['classes_without_train'] += missing
    ledger.check_sums(counts)
    picture_bytes = int(layout.counts['bytes'].sum())
    return Manifest(
        options=options.as_mapping(),
        source={
            'fingerprint': fingerprint,
            'documents': counts.documents[ledger.READ],
            'pictures': counts.pictures[ledger.READ],
            'picture_bytes': picture_bytes,
        },
        categories=manifest.describe_tree(tree) if tree else {},
        splits=splits,
        priors=_priors(splits, pseudo),
        ledger=ledger.as_mapping(counts),
        schema_version=manifest.schema_version(tree),
    )


def with_keys(made: Manifest) -> Manifest:
    """Returns the manifest of a data set whose keys are in `products.parquet`."""
    return dataclasses.replace(
        made,
        source={**made.source, 'products': product_key.PRODUCTS},
        schema_version=manifest.EXTENDED_VERSION,
    )


def _check(
    split: str, parts: Sequence[WrittenShard], pictures: int, *, layout: Layout, rows: np.ndarray
) -> None:
    """Compares the shards with the layout: shards, units, and pictures without copies."""
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
        raise RuntimeError(f'{split}: {planned} were planned, but {found} were written')


def _classes_without_train(splits: dict[str, Split]) -> int:
    """Returns the number of classes all of whose products are held out."""
    products = {name: np.array(split.products_per_class) for name, split in splits.items()}
    return int(np.count_nonzero((sum(products.values()) > 0) & (products['train'] == 0)))


def _priors(
    splits: dict[str, Split], pseudo: npt.NDArray[np.int64]
) -> dict[str, tuple[float, ...]]:
    """Returns the class priors.

    Args:
      splits: The splits by name.
      pseudo: Products with a pseudo-label, int64 [C]. They are not natural: how many of a class
        there are depends on how confident a model was.
    """
    if 'train' not in splits:
        return {}
    natural = np.sum([split.products_per_class for split in splits.values()], axis=0) - pseudo
    written = np.array(splits['train'].records_per_class)
    return {
        'natural': tuple((natural / max(natural.sum(), 1)).tolist()),
        'written': tuple((written / max(written.sum(), 1)).tolist()),
    }


def commit(
    output: str,
    *,
    made: Manifest,
    tree_bytes: bytes | None,
    traced: bool,
    staged_rejected: Sequence[str],
) -> None:
    """Gives the staged files their final names and writes the manifest.

    Args:
      output: Folder of the data set.
      made: The manifest.
      tree_bytes: Contents of the category file; None for unlabelled data.
      traced: Whether `products.parquet` is staged.
      staged_rejected: Names of the staged files about rejected pieces.
    """
    staging = staging_folder(output)
    renames = {
        storage.join(staging, shard.file): storage.join(output, shard.file)
        for split in made.splits.values()
        for shard in split.shards
    }
    if traced:
        renames[storage.join(staging, product_key.PRODUCTS)] = storage.join(
            output, product_key.PRODUCTS
        )
    renames |= {
        storage.join(staging, name): storage.join(output, rejected.FOLDER, name)
        for name in staged_rejected
    }
    # Files that an earlier commit already renamed are no longer staged.
    staged = {storage.join(staging, name) for name in storage.list_files(staging)}
    pending = {old: new for old, new in renames.items() if old in staged}
    if staged_rejected:
        storage.make_private_folder(storage.join(output, rejected.FOLDER))
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
    """Returns the files of an earlier data set, and partial files of a killed process."""
    names = storage.list_files(output)
    old = [
        storage.join(output, name)
        for name in names
        if shards.parse(name) or storage.is_temporary(name) or name == product_key.PRODUCTS
    ]
    folder = storage.join(output, rejected.FOLDER)
    old += [storage.join(folder, name) for name in storage.list_files(folder)]
    return [path for path in old if path not in keep]
