"""An index in memory: searches similar products, and gives their categories and thumbnails."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from catalog import categories, storage
from catalog.categories import Categories
from catalog.digests import folder as digests
from catalog.errors import UserError
from serving.similar import graph, index_info, product_table
from serving.similar.graph import Floats, Int64s
from serving.similar.index_info import GRAPH, PRODUCTS, THUMBNAILS, IndexInfo
from serving.similar.product_table import UNLABELLED, ProductTable


@dataclass(frozen=True)
class IndexedProduct:
    """A product of an index.

    Attributes:
      product_id: Its number, `product/id`, by which `ProductIndex.find` and `thumbnail` find it.
      key: Its id in the shop as text; None if the shop's id is `product_id` itself.
      category_id: The shop's category id, or its code; None in unlabelled data.
      category: The names of the category's path; empty in unlabelled data.
    """

    product_id: int
    key: str | None
    category_id: int | str | None
    category: tuple[str, ...]

    @property
    def shown_id(self) -> int | str:
        """The shop's own id."""
        return self.product_id if self.key is None else self.key


class Matches(NamedTuple):
    """The k most similar products of each of N embeddings, the most similar first.

    Attributes:
      ids: `product/id`, int64 [N, k].
      distances: Cosine distances, 0 (equal) to 2, float32 [N, k].
      products: The products [N][k].
    """

    ids: Int64s
    distances: Floats
    products: list[list[IndexedProduct]]


class ProductIndex:
    """One version of an index. Never changes, so that any thread may use it.

    Attributes:
      info: Its description, such as the model of its embeddings.
      version: The number of its folder.
      table: Its products.
    """

    def __init__(self, folder: str, *, version: int) -> None:
        """Opens an index. Its graph stays on disk and is mapped into memory.

        Args:
          folder: A local folder, which may be deleted afterwards.
          version: Its number.

        Raises:
          UserError: If it is not an intact index.
        """
        if digests.verify(folder) == 'unverified':
            raise UserError(f'{folder}: must have the {digests.FILE_NAME} of an index, got none')
        self.info: IndexInfo = index_info.read(folder)
        self.version = version
        try:
            self._graph = graph.read(storage.join(folder, GRAPH), mapped=True)
            self.table: ProductTable = product_table.read(storage.join(folder, PRODUCTS))
        except ValueError as error:
            raise UserError(f'{folder}: must be an index of serving.index, got: {error}') from error
        self._tree = _tree(storage.join(folder, categories.FILE_NAME))
        self._thumbnails = _map(storage.join(folder, THUMBNAILS))
        self._by_number = np.argsort(self.table.product_ids)
        self._by_node = np.argsort(self.table.nodes, kind='stable')
        self._node_ends = np.cumsum(np.bincount(self.table.nodes))

    def __len__(self) -> int:
        return self.info.products

    def search(self, embeddings: Floats, k: int) -> Matches:
        """Finds the products whose embeddings are most similar, approximately.

        A product is as similar as the mean of its pictures' embeddings. A product of the index that
        is itself searched for is among the results. docs/similar.md has the recall.

        Args:
          embeddings: float32 [N, D] of any length but 0, from the model `info.model`.
          k: Number of products for each, at least 1; all if the index has fewer.

        Raises:
          ValueError: If the shape, type or values are wrong, or k is less than 1.
        """
        if k < 1:
            raise ValueError(f'k must be at least 1, got {k}')
        queries = self._normalized(embeddings)
        rows, distances = self._nearest(queries, min(k, len(self)))
        products = [[self._product(row) for row in nearest] for nearest in rows.tolist()]
        return Matches(self.table.product_ids[rows], distances, products)

    def find(self, product_id: int) -> IndexedProduct | None:
        """Returns a product by its number; None if the index does not have it."""
        row = self._row(product_id)
        return None if row is None else self._product(row)

    def thumbnail(self, product_id: int) -> bytes | None:
        """Returns a small JPEG of a product's first photo; None if the index has none."""
        row = self._row(product_id)
        if row is None:
            return None
        offset, size = self.table.thumbnail_offsets[row], self.table.thumbnail_sizes[row]
        return self._thumbnails[offset : offset + size].tobytes() or None

    def embeddings(self) -> Floats:
        """Returns the embeddings of all products by row of the table, float32 [N, D]."""
        return graph.embeddings(self._graph)[self.table.nodes]

    def _nearest(self, queries: Floats, k: int) -> tuple[Int64s, Floats]:
        """Returns rows and distances [Q, k] of the products at the nearest nodes."""
        rows = np.empty((len(queries), k), np.int64)
        distances = np.empty((len(queries), k), np.float32)
        node_distances, nodes = graph.search(self._graph, queries, min(k, self._graph.ntotal))
        for query in range(len(queries)):
            products = [self._rows_at(node) for node in nodes[query].tolist()]
            rows[query] = np.concatenate(products)[:k]
            distances[query] = np.repeat(node_distances[query], list(map(len, products)))[:k]
        return rows, distances

    def _rows_at(self, node: int) -> Int64s:
        begin = self._node_ends[node - 1] if node else 0
        rows: Int64s = self._by_node[begin : self._node_ends[node]]
        return rows

    def _normalized(self, embeddings: npt.NDArray[Any]) -> Floats:
        expected = (len(embeddings) if embeddings.ndim else 0, self.info.dimensions)
        if embeddings.shape != expected or embeddings.dtype != np.float32:
            shape = ', '.join(map(str, embeddings.shape))
            raise ValueError(
                f'embeddings must be float32 [N, {self.info.dimensions}], as of the model '
                f'{self.info.model.name} {self.info.model.version}, got '
                f'{embeddings.dtype} [{shape}]'
            )
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise ValueError('embeddings must be finite and not zero')
        normalized: Floats = np.ascontiguousarray(embeddings / lengths)
        return normalized

    def _product(self, row: int) -> IndexedProduct:
        product_id, label = int(self.table.product_ids[row]), int(self.table.labels[row])
        labelled = self._tree is not None and label != UNLABELLED
        return IndexedProduct(
            product_id=product_id,
            key=self.table.keys.get(product_id),
            category_id=self._tree.shown_id(label) if self._tree and labelled else None,
            category=self._tree.names[label] if self._tree and labelled else (),
        )

    def _row(self, product_id: int) -> int | None:
        numbers = self.table.product_ids
        place = int(np.searchsorted(numbers, product_id, sorter=self._by_number))
        if place == len(numbers) or numbers[self._by_number[place]] != product_id:
            return None
        return int(self._by_number[place])


def _tree(path: str) -> Categories | None:
    return categories.load(path) if storage.exists(path) else None


def _map(path: str) -> npt.NDArray[np.uint8]:
    empty = storage.size(path) == 0  # which cannot be mapped
    return np.empty(0, np.uint8) if empty else np.memmap(path, np.uint8, mode='r')
