"""Products with equal embeddings share a node."""

import numpy as np

from serving.index import nodes
from serving.index.nodes import Nodes


def uints(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


def test_equal_embeddings_share_a_node_and_new_ones_get_the_next_numbers() -> None:
    known = Nodes(uints(50, 40, 50), np.array([0, 1, 0]))
    assigned, rows = nodes.assign(uints(90, 40, 70, 90), known=known)
    assert assigned.nodes.tolist() == [2, 1, 3, 2]
    assert rows.tolist() == [0, 2]  # the embeddings of nodes 2 and 3


def test_without_known_products_nodes_are_numbered_in_order() -> None:
    assigned, rows = nodes.assign(uints(7, 7, 3, 9), known=nodes.NONE)
    assert assigned.nodes.tolist() == [0, 0, 1, 2]
    assert rows.tolist() == [0, 2, 3]


def test_embeddings_are_equal_if_the_graph_keeps_them_as_equal() -> None:
    one, close, other = [0.6, 0.8], [0.6 + 1e-6, 0.8], [0.61, 0.79]
    first, second, third = nodes.digest(np.array([one, close, other], np.float32)).tolist()
    assert first == second != third
