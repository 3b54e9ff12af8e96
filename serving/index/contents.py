"""The contents of a new version: embeddings kept from the version before it, and fresh ones."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog import storage
from serving.index import embedding, nodes, shard_products
from serving.index.changes import Changes
from serving.index.embedding import EmbeddedPicture, EmbeddedProducts
from serving.index.nodes import Nodes
from serving.index.shard_products import ShardProducts
from serving.index.thumbnails import ThumbnailWriter
from serving.runtimes.model import Model
from serving.similar import graph
from serving.similar.graph import Floats, Graph
from serving.similar.index_info import GRAPH
from serving.similar.product_index import ProductIndex
from serving.similar.product_table import ProductTable

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Previous:
    """The version before the new one, and its folder."""

    index: ProductIndex
    folder: str


@dataclass(frozen=True)
class Fresh:
    """The products that were embedded.

    Attributes:
      products: Their rows in the data set, int64 [F], without those that could not be embedded.
      embeddings: float32 [F, D].
      pictures: Pictures that were embedded.
      undecodable: Pictures that the model could not decode.
      left_out: Products of which it could decode none.
    """

    products: Int64s
    embeddings: Floats
    pictures: int = 0
    undecodable: int = 0
    left_out: int = 0


def embed_fresh(
    model: Model,
    paths: Sequence[str],
    products: ShardProducts,
    *,
    is_fresh: npt.NDArray[np.bool_],
    dimensions: int,
    thumbnails: ThumbnailWriter,
    on_picture: Callable[[int], None],
) -> Fresh:
    """Embeds products of shards, and writes their thumbnails.

    Args:
      model: The model.
      paths: The shards.
      products: The P products of the shards.
      is_fresh: Which of them to embed, bool [P].
      dimensions: D.
      thumbnails: Receives the first photo of each, by its row in the data set.
      on_picture: Receives the number of pictures that have been embedded.

    Raises:
      RequestError: If the model fails.
    """
    rows = np.flatnonzero(is_fresh)
    pictures = products.pictures
    slots = np.cumsum(is_fresh) - 1  # row in the data set -> row of `rows`
    count = itertools.count(1)

    def add_photo(product: int, picture: EmbeddedPicture) -> None:
        index = int(pictures.index[picture.row])
        thumbnails.add_photo(int(rows[product]), picture.data, index=index)
        on_picture(next(count))

    found: EmbeddedProducts = embedding.embed_products(
        embedding.embed_pictures(
            model, shard_products.read_pictures(paths, pictures, products=is_fresh)
        ),
        slots[pictures.product],
        count=len(rows),
        dimensions=dimensions,
        on_picture=add_photo,
    )
    usable = found.has_embedding
    return Fresh(
        products=rows[usable],
        embeddings=found.embeddings if usable.all() else found.embeddings[usable],
        pictures=found.pictures,
        undecodable=found.undecodable,
        left_out=int((~usable).sum()),
    )


def keep_thumbnails(previous: Previous, changes: Changes, thumbnails: ThumbnailWriter) -> None:
    """Writes the thumbnails of the kept products, by their rows in the data set."""
    numbers = previous.index.table.product_ids[changes.kept_rows]
    for row, number in zip(changes.kept_products.tolist(), numbers.tolist(), strict=True):
        if thumbnail := previous.index.thumbnail(number):
            thumbnails.add(row, thumbnail)


def connect(previous: Previous | None, changes: Changes, fresh: Fresh) -> tuple[Graph, Nodes]:
    """Returns the graph, and the nodes of the kept and the fresh products, in this order.

    Extends the graph of the version before it. Faiss cannot delete nodes: if products were changed
    or removed, builds a new one from the kept embeddings.
    """
    digests = nodes.digest(fresh.embeddings)
    if previous and changes.only_adds:
        table = previous.index.table
        known = Nodes(table.embedding_digests, table.nodes)
        added, rows = nodes.assign(digests, known=known)
        extended = graph.read(storage.join(previous.folder, GRAPH), mapped=False)
        graph.extend(extended, fresh.embeddings, rows=rows)
        return extended, nodes.join(known, added)
    embeddings = fresh.embeddings
    if previous:
        kept = changes.kept_rows
        embeddings = np.concatenate([previous.index.embeddings()[kept], embeddings])
        digests = np.concatenate([previous.index.table.embedding_digests[kept], digests])
    assigned, rows = nodes.assign(digests, known=nodes.NONE)
    return graph.build(embeddings, rows=rows), assigned


def tabulate(
    products: ShardProducts, rows: Int64s, assigned: Nodes, thumbnails: ThumbnailWriter
) -> ProductTable:
    """Returns the table of the products with these rows in the data set, and their nodes."""
    places = [thumbnails.places.get(row, (0, 0)) for row in rows.tolist()]
    offsets, sizes = np.array(places, np.int64).reshape(-1, 2).T
    numbers = products.product_ids[rows]
    return ProductTable(
        product_ids=numbers,
        keys={n: products.keys[n] for n in numbers.tolist() if n in products.keys},
        labels=products.labels[rows],
        digests=products.digests[rows],
        nodes=assigned.nodes,
        embedding_digests=assigned.digests,
        thumbnail_offsets=offsets,
        thumbnail_sizes=sizes,
    )
