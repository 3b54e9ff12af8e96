"""Which node of the graph each product has. Pure.

Products with equal embeddings, such as those with one placeholder photo, share a node. As nodes of
their own they would be each other's only neighbours, and no search would get past them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

Floats = npt.NDArray[np.float32]
Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Nodes:
    """The nodes of P products.

    Attributes:
      digests: Digest of each product's embedding, uint64 [P].
      nodes: Node of each product, int64 [P].
    """

    digests: UInt64s
    nodes: Int64s


NONE = Nodes(np.empty(0, np.uint64), np.empty(0, np.int64))


def digest(embeddings: Floats) -> UInt64s:
    """Returns the digest of each embedding as the graph keeps it: float32 [P, D] -> uint64 [P]."""
    rows = (row.astype(np.float16).tobytes() for row in embeddings)
    return np.fromiter(map(xxhash.xxh3_64_intdigest, rows), np.uint64, len(embeddings))


def assign(digests: UInt64s, *, known: Nodes) -> tuple[Nodes, Int64s]:
    """Assigns nodes to products: a known one, or the next free number.

    Args:
      digests: Digests of the products' embeddings, uint64 [P].
      known: Products that have nodes, 0 to N-1.

    Returns:
      Their nodes, and the rows of the products whose embeddings become the nodes N, N+1, ….
    """
    count = len(known.digests)
    unique, first, inverse = np.unique(
        np.concatenate([known.digests, digests]), return_index=True, return_inverse=True
    )
    node = np.empty(len(unique), np.int64)
    is_known = first < count
    node[is_known] = known.nodes[first[is_known]]
    new = np.flatnonzero(~is_known)
    new = new[np.argsort(first[new])]
    node[new] = known.nodes.max(initial=-1) + 1 + np.arange(len(new))
    return Nodes(digests, node[inverse[count:]]), first[new] - count


def join(first: Nodes, second: Nodes) -> Nodes:
    """Returns the nodes of the products of both, in this order."""
    return Nodes(
        np.concatenate([first.digests, second.digests]),
        np.concatenate([first.nodes, second.nodes]),
    )
