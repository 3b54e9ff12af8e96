"""Opens what `--input` names as a source of products to predict."""

from collections.abc import Sequence
from typing import NamedTuple

from catalog.categories import Categories
from catalog.errors import UserError
from catalog.inputs import photos
from catalog.inputs.options import SourceOptions
from catalog.sources import bson_files, first_look, mongo_read, opening
from catalog.sources.bson_files import BsonFiles
from catalog.sources.source import Source


class Opened(NamedTuple):
    """A source.

    Attributes:
      source: The source.
      labelled: Whether its categories may be compared with those of the model.
    """

    source: Source
    labelled: bool


def open_source(names: Sequence[str], tree: Categories, options: SourceOptions) -> Opened:
    """Opens a source.

    Args:
      names: BSON files (also `.gz`), a folder of mongodump, or a MongoDB collection; folders and
        lists of photos.
      tree: The categories of the model, which folders and lists may name.
      options: How they are read.

    Raises:
      UserError: If nothing is found, or several kinds of input, or no products.
    """
    if names[0].startswith(mongo_read.SCHEMES):
        source = opening.open_source(names, tree=tree, fields=options.fields)
        first_look.check_products(source, None, options.fields)
        return Opened(source, labelled=True)
    dumps, _ = opening.find_inputs(names)
    if dumps:
        return Opened(open_dumps(dumps, options), labelled=True)
    return Opened(*photos.open_photos(names, tree, options))


def open_dumps(paths: Sequence[str], options: SourceOptions) -> BsonFiles:
    """Opens BSON files.

    Raises:
      UserError: If they do not begin with products, naming their fields and what to do.
    """
    source = bson_files.open_files(
        paths, fields=options.fields, max_unpack_ratio=options.max_unpack_ratio
    )
    first_look.check_products(source, None, options.fields)
    return source


def check_some(source: Source, names: Sequence[str]) -> None:
    """Checks that a source has a product.

    Raises:
      UserError: If it has none.
    """
    if not source.total_bytes():
        raise UserError(f'--input: must contain a product, got none in {names[0]}')
