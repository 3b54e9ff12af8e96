"""Opens what `--input` names as a stream of products: dumps, collections, photos or shards."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from catalog import categories, storage
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.inputs import opening
from catalog.inputs.options import SourceOptions
from catalog.listings.listing import LIST_SUFFIXES
from catalog.sources import mongo_read
from catalog.sources import opening as sources
from trainer.predict import dump_stream, shard_stream
from trainer.predict.dump_stream import DumpFiles, DumpPosition, DumpProduct
from trainer.predict.shard_stream import ShardStream
from trainer.predict.source_stream import SourceStream

_MANIFEST = 'manifest.json'


class ProductStream(Protocol):
    """Products in an order that does not change, read from any position."""

    def fingerprint(self) -> str:
        """Returns a digest that differs if the products differ."""

    def total_bytes(self) -> int:
        """Returns the size, for progress."""

    def check(self) -> None:
        """Reads the first products, or raises a UserError."""

    def file_name(self, file: int) -> str:
        """Returns the name of a file, for messages."""

    def read(self, start: DumpPosition) -> Iterator[DumpProduct]:
        """Yields the products from a position on."""


def open_stream(
    inputs: str | Sequence[str], tree: Categories, options: SourceOptions
) -> ProductStream:
    """Opens what `--input` names.

    Args:
      inputs: BSON files (also `.gz`), a folder of mongodump, or a MongoDB collection; folders and
        lists of photos; shards, or the folder of a data set with `predict-` shards.
      tree: The categories of the model, which folders and lists may name.
      options: How they are read.

    Raises:
      UserError: If nothing is found, or several kinds of input.
    """
    names = [inputs] if isinstance(inputs, str) else list(inputs)
    if names and not names[0].startswith(mongo_read.SCHEMES):
        paths = [path for name in names for path in _expand(name)]
        if paths and all(path.endswith(shard_stream.SUFFIXES) for path in paths):
            return ShardStream(tuple(paths), labelled=_have_tree(paths, tree))
        if not any(map(_is_other, paths)):
            return _open_dump(dump_stream.find_files(inputs), options)
        dumps, _ = sources.find_inputs(names)
        if dumps:
            return _open_dump(dumps, options)
    source, labelled = opening.open_source(names, tree, options)
    return SourceStream(source, tuple(names), labelled=labelled)


def _have_tree(shards: Sequence[str], tree: Categories) -> bool:
    """Returns whether shards have the category tree of the model; reports another one."""
    for folder in sorted({shard.rpartition('/')[0] or '.' for shard in shards}):
        path = storage.join(folder, categories.FILE_NAME)
        if not storage.exists(path):  # unlabelled
            return False
        found = categories.load(path)
        if not np.array_equal(found.ids, tree.ids) or found.names != tree.names:
            print(
                f'note: predicted without accuracy: {path} is not the category tree of the model',
                file=sys.stderr,
            )
            return False
    return True


def _open_dump(paths: Sequence[str], options: SourceOptions) -> ProductStream:
    """Opens BSON files: as they are streamed if they have the usual schema and integer ids.

    Raises:
      UserError: If they do not begin with products, naming their fields and what to do.
    """
    dump = DumpFiles(tuple(paths))
    if not options.fields.renamed:
        with contextlib.suppress(UserError):  # perhaps ids of another type
            dump.check()
            return dump
    source = opening.open_dumps(paths, options)
    usual = not (options.fields.renamed or source.schema.text_ids)
    return dump if usual else SourceStream(source, tuple(paths))


def check_exists(inputs: str | Sequence[str], options: SourceOptions) -> None:
    """Checks that an input exists, and that BSON files begin with a product.

    Raises:
      UserError: If not.
    """
    names = [inputs] if isinstance(inputs, str) else list(inputs)
    if names and names[0].startswith(mongo_read.SCHEMES):
        return
    paths = [path for name in names for path in _expand(name)]
    if not any(map(_is_other, paths)):
        _open_dump(dump_stream.find_files(inputs), options).check()


def _is_other(path: str) -> bool:
    """Returns whether a path is not a BSON file."""
    suffixes = (*LIST_SUFFIXES, *shard_stream.SUFFIXES)
    return sources.is_folder(path) or path.lower().endswith(suffixes)


def _expand(name: str) -> list[str]:
    """Returns the files and folders that a path or glob names; of a data set, its shards."""
    found = storage.glob(name.rstrip('/') or name) or [name]
    if len(found) == 1 and storage.exists(storage.join(found[0], _MANIFEST)):
        shards = storage.glob(storage.join(found[0], 'predict-*.tfrecord*'))
        if not shards:
            raise UserError(
                f'--input: {name} must be a data set with predict- shards, got none; name the '
                f'shards, for example {storage.join(name, "validation-*.tfrecord")}'
            )
        return shards
    return found
