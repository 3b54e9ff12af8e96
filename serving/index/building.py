"""Builds an index of a data set, or extends the newest one, and publishes it as a new version."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from catalog import atomic_folder, categories, manifest, storage
from catalog.digests import folder as digests
from catalog.errors import UserError
from catalog.manifest import Manifest
from catalog.process import folder_lock
from catalog.process.progress import Progress
from serving.index import changes, contents, embedding_model, shard_products
from serving.index.changes import Changes
from serving.index.contents import Fresh, Previous
from serving.index.shard_products import ShardProducts
from serving.index.thumbnails import ThumbnailWriter
from serving.protocol.status import RequestError
from serving.similar import graph, index_info, product_table, published_index
from serving.similar.index_info import (
    GRAPH,
    PRODUCTS,
    THUMBNAILS,
    IndexInfo,
    IndexOptions,
    ModelIdentity,
)
from serving.similar.product_index import ProductIndex

KEPT_VERSIONS = 2  # the new one, and the one before it, for readers and for going back


@dataclass(frozen=True)
class Built:
    """What a run did.

    Attributes:
      info: The index.
      version: Its version.
      is_new: Whether the run published it; False if the newest one was up to date.
      rebuilt: Why no embedding of the version before it was kept; '' if they were, or without one.
      kept: Products that kept their embeddings.
      added: Products that were embedded.
      changed: Products of the version before it that have other pictures now.
      removed: Products of the version before it that the data set does not have.
      pictures: Pictures that were embedded.
      undecodable: Pictures that the model could not decode.
    """

    info: IndexInfo
    version: int
    is_new: bool
    rebuilt: str = ''
    kept: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    pictures: int = 0
    undecodable: int = 0


@dataclass(frozen=True)
class _Inputs:
    model: str
    data: str
    manifest: Manifest
    options: IndexOptions
    identity: ModelIdentity
    data_sha256: str

    @property
    def paths(self) -> list[str]:
        splits = [self.manifest.splits[name] for name in self.options.splits]
        return [storage.join(self.data, shard.file) for split in splits for shard in split.shards]


def build(
    *, model: str, data: str, output: str, splits: Sequence[str] = (), thumbnail_pixels: int
) -> Built:
    """Publishes an index of a data set's products as `OUTPUT/VERSION`.

    Products that the newest version has, with the same pictures, keep their embeddings if the model
    and the size of thumbnails are the same.

    Args:
      model: Version folder of an exported model.
      data: The data set.
      output: The local folder of the versions.
      splits: Splits of the data set; all if empty.
      thumbnail_pixels: Longest side of a thumbnail, in pixels.

    Raises:
      UserError: If the model, the data set or the newest version cannot be used.
    """
    inputs = _check_inputs(model, data, splits, thumbnail_pixels)
    with folder_lock.own_folder(output, owner='serving.index'):
        previous = _open_newest(output)
        version = previous.index.version + 1 if previous else 1
        reason = _difference(previous.index.info, inputs) if previous else ''
        if previous and not reason and _is_up_to_date(previous.index.info, inputs):
            index = previous.index
            return Built(index.info, index.version, is_new=False, kept=len(index))
        with atomic_folder.create(storage.join(output, str(version))) as partial:
            built = _write(inputs, None if reason else previous, partial, version=version)
        _delete_old(output)
    return dataclasses.replace(built, rebuilt=reason)


def _delete_old(output: str) -> None:
    """Deletes old versions, and what killed runs left behind."""
    old = [str(number) for number in published_index.versions(output)[:-KEPT_VERSIONS]]
    left = [name for name in storage.list_names(output) if storage.is_temporary(name)]
    for name in [*old, *left]:
        storage.delete_folder(storage.join(output, name))


def _check_inputs(model: str, data: str, splits: Sequence[str], thumbnail_pixels: int) -> _Inputs:
    document = manifest.read(data)
    names = [name for name in document.splits if not splits or name in splits]
    for name in splits:
        manifest.get_split(document, name, folder=data)
    for name in names:
        manifest.check_files(data, document.splits[name])
    return _Inputs(
        model=model,
        data=data,
        manifest=document,
        options=IndexOptions(tuple(sorted(names)), thumbnail_pixels),
        identity=embedding_model.identify(model),
        data_sha256=manifest.digest(data),
    )


def _open_newest(output: str) -> Previous | None:
    number = published_index.newest_version(output)
    if number is None:
        return None
    folder = storage.join(output, str(number))
    return Previous(ProductIndex(folder, version=number), folder)


def _difference(info: IndexInfo, inputs: _Inputs) -> str:
    """Returns why embeddings of an index cannot be kept; '' if they can."""
    old, new = info.model, inputs.identity
    if old.sha256 != new.sha256:
        return f'the model changed from {old.name} {old.version} to {new.name} {new.version}'
    before, after = info.options.thumbnail_pixels, inputs.options.thumbnail_pixels
    if before != after:
        return f'--thumbnail_pixels changed from {before} to {after}'
    return ''


def _is_up_to_date(info: IndexInfo, inputs: _Inputs) -> bool:
    return info.data_sha256 == inputs.data_sha256 and info.options == inputs.options


def _write(inputs: _Inputs, previous: Previous | None, partial: Path, *, version: int) -> Built:
    """Writes the files of a version into a folder."""
    products = _scan(inputs)
    found = (
        changes.compare(products.product_ids, products.digests, previous.index.table)
        if previous
        else changes.all_fresh(products.product_ids)
    )
    with (partial / THUMBNAILS).open('wb') as file:
        thumbnails = ThumbnailWriter(file, pixels=inputs.options.thumbnail_pixels)
        if previous:
            contents.keep_thumbnails(previous, found, thumbnails)
        fresh = _embed(inputs, products, found, previous, thumbnails)
    rows = np.concatenate([found.kept_products, fresh.products])
    if not len(rows):
        raise UserError(
            f'{inputs.data}: must have a picture that the model can decode, got '
            f'{fresh.undecodable:,} undecodable ones'
        )
    connected, nodes = contents.connect(previous, found, fresh)
    graph.write(connected, str(partial / GRAPH))
    product_table.write(
        contents.tabulate(products, rows, nodes, thumbnails), str(partial / PRODUCTS)
    )
    info = _describe(inputs, partial, fresh, products=len(rows), dimensions=connected.d)
    return Built(
        info,
        version,
        is_new=True,
        kept=len(found.kept_rows),
        added=len(fresh.products),
        changed=found.changed,
        removed=found.removed,
        pictures=fresh.pictures,
        undecodable=fresh.undecodable,
    )


def _scan(inputs: _Inputs) -> ShardProducts:
    paths = inputs.paths
    progress = Progress('read', total=len(paths), unit='shards')
    products = shard_products.scan(paths, on_shard=progress.update)
    progress.close()
    if not len(products):
        raise UserError(
            f'{inputs.data}: must have products in {", ".join(inputs.options.splits)}, got none'
        )
    return products


def _embed(
    inputs: _Inputs,
    products: ShardProducts,
    found: Changes,
    previous: Previous | None,
    thumbnails: ThumbnailWriter,
) -> Fresh:
    if previous and not found.is_fresh.any():
        none = np.empty((0, previous.index.info.dimensions), np.float32)
        return Fresh(np.empty(0, np.int64), none)
    total = int(found.is_fresh[products.pictures.product].sum())
    progress = Progress('embed', total=total, unit='pictures')
    model = embedding_model.load(inputs.model)
    try:
        fresh = contents.embed_fresh(
            model,
            inputs.paths,
            products,
            is_fresh=found.is_fresh,
            dimensions=embedding_model.count_dimensions(model),
            thumbnails=thumbnails,
            on_picture=progress.update,
        )
    except RequestError as error:
        raise UserError(
            f'{inputs.model}: --model must embed pictures, got {error.code.name}: {error.message}'
        ) from error
    finally:
        model.close()
    progress.close()
    return fresh


def _describe(
    inputs: _Inputs, partial: Path, fresh: Fresh, *, products: int, dimensions: int
) -> IndexInfo:
    """Writes and returns the description of the files in a folder."""
    if inputs.manifest.categories:
        tree = storage.read_bytes(storage.join(inputs.data, categories.FILE_NAME))
        (partial / categories.FILE_NAME).write_bytes(tree)
    info = IndexInfo(
        model=inputs.identity,
        data_sha256=inputs.data_sha256,
        options=inputs.options,
        library=graph.LIBRARY,
        products=products,
        dimensions=dimensions,
        left_out=fresh.left_out,
    )
    index_info.write(info, str(partial))
    digests.write(str(partial))
    return info
