"""`index.json`, the description of an index. docs/formats.md has its keys."""

import dataclasses
import json
from dataclasses import dataclass

from catalog import storage
from catalog.typed_json import reader

FILE_NAME = 'index.json'
GRAPH = 'embeddings.faiss'
PRODUCTS = 'products.parquet'
THUMBNAILS = 'thumbnails.bin'  # JPEG files, one after the other

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ModelIdentity:
    """The model that computed the embeddings.

    Attributes:
      name: Name of its folder, as in requests to a server.
      version: Its version; 0 if its folder is not a number.
      sha256: Digest of its graph, variables and assets, in hex.
    """

    name: str
    version: int
    sha256: str


@dataclass(frozen=True)
class IndexOptions:
    """The options that change an index.

    Attributes:
      splits: The splits of the data set whose products are in the index.
      thumbnail_pixels: Longest side of a thumbnail.
    """

    splits: tuple[str, ...]
    thumbnail_pixels: int


@dataclass(frozen=True)
class IndexInfo:
    """An index.

    Attributes:
      model: The model of its embeddings.
      data_sha256: Digest of the data set, `manifest.digest`.
      options: The options.
      library: Name and version of the library of the graph.
      products: Number of products.
      dimensions: Numbers in an embedding.
      left_out: Products of the data set that are not in the index, because the model could
        decode none of their pictures.
    """

    model: ModelIdentity
    data_sha256: str
    options: IndexOptions
    library: str
    products: int
    dimensions: int
    left_out: int


def write(info: IndexInfo, folder: str) -> None:
    """Writes the description into the folder of an index."""
    document = {'schema_version': SCHEMA_VERSION, **dataclasses.asdict(info)}
    text = json.dumps(document, indent=1, sort_keys=True)
    storage.write_bytes(storage.join(folder, FILE_NAME), f'{text}\n'.encode())


def read(folder: str) -> IndexInfo:
    """Reads the description of an index.

    Raises:
      UserError: If it is not one that this version can read.
    """
    path = storage.join(folder, FILE_NAME)
    document = reader.parse(storage.read_bytes(path), path=path)
    version = document.field('schema_version')
    if version.content != SCHEMA_VERSION:
        raise version.error(f'be {SCHEMA_VERSION}, or build the index again with serving.index')
    model, options = document.field('model'), document.field('options')
    return IndexInfo(
        model=ModelIdentity(
            name=model.field('name').text(),
            version=model.field('version').natural(),
            sha256=model.field('sha256').text(),
        ),
        data_sha256=document.field('data_sha256').text(),
        options=IndexOptions(
            splits=tuple(split.text() for split in options.field('splits').items()),
            thumbnail_pixels=options.field('thumbnail_pixels').natural(),
        ),
        library=document.field('library').text(),
        products=document.field('products').natural(),
        dimensions=document.field('dimensions').natural(),
        left_out=document.field('left_out').natural(),
    )
