"""The graph of embeddings: Faiss's HNSW (Malkov and Yashunin, 2016, arXiv:1603.09320).

Nodes are numbered from 0 in the order in which they are added. Embeddings are kept as float16,
which halves the size. The distance is the cosine distance, 1 - cos, of embeddings of length 1: half
of their squared Euclidean distance.
"""

import faiss
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Int64s = npt.NDArray[np.int64]
Graph = faiss.IndexHNSWSQ

LIBRARY = f'faiss {faiss.__version__}'
NEIGHBOURS = 32  # per node and level, twice as many on the lowest one
BUILD_CANDIDATES = 100  # efConstruction
SEARCH_CANDIDATES = 128  # efSearch

_ADDED_ROWS = 1 << 16
_NONE = -1  # Faiss's number of a neighbour that it did not find


def build(embeddings: Floats, *, rows: Int64s | None = None) -> Graph:
    """Builds a graph of embeddings, as `extend` adds them."""
    kind = faiss.ScalarQuantizer.QT_fp16
    found = Graph(embeddings.shape[1], kind, NEIGHBOURS)  # type: ignore[arg-type]  # Faiss's stubs
    found.hnsw.efConstruction = BUILD_CANDIDATES
    extend(found, embeddings, rows=rows)
    return found


def extend(found: Graph, embeddings: Floats, *, rows: Int64s | None = None) -> None:
    """Adds embeddings to a graph on one thread, so that the same calls give the same bytes.

    Args:
      found: The graph.
      embeddings: float32 [N, D] of length 1.
      rows: The rows to add, in this order; all if None.
    """
    rows = np.arange(len(embeddings)) if rows is None else rows
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        for begin in range(0, len(rows), _ADDED_ROWS):  # pieces, since each is copied
            found.add(np.ascontiguousarray(embeddings[rows[begin : begin + _ADDED_ROWS]]))
    finally:
        faiss.omp_set_num_threads(threads)


def search(found: Graph, queries: Floats, k: int) -> tuple[Floats, Int64s]:
    """Finds the nearest nodes of each query. May be called from many threads.

    Args:
      found: A graph of N nodes.
      queries: float32 [Q, D] of length 1.
      k: 1 to N.

    Returns:
      Cosine distances float32 [Q, k], ascending, and nodes int64 [Q, k].
    """
    candidates = max(SEARCH_CANDIDATES, k)
    parameters = faiss.SearchParametersHNSW(efSearch=candidates)  # type: ignore[attr-defined]
    squares, nodes = found.search(queries, k, params=parameters)
    for row in np.flatnonzero((nodes == _NONE).any(axis=1)):  # less than k are reachable
        squares[row], nodes[row] = search_exactly(found, queries[row], k)
    return squares / 2, nodes


def search_exactly(found: Graph, query: Floats, k: int) -> tuple[Floats, Int64s]:
    """Compares a query, float32 [D], with all nodes. Returns squared distances and nodes, [k]."""
    squares, nodes = found.storage.search(query[None], k)
    return squares[0], nodes[0]


def embeddings(found: Graph) -> Floats:
    """Returns the embeddings of all nodes, float32 [N, D]: adding them again changes no bit."""
    kept: Floats = found.reconstruct_n(0, found.ntotal)
    return kept


def write(found: Graph, path: str) -> None:
    """Writes a graph to a local file."""
    faiss.write_index(found, path)


def read(path: str, *, mapped: bool) -> Graph:
    """Reads a graph.

    Args:
      path: A local file.
      mapped: Whether to map the file, which loads at once and shares memory between processes. Such
        a graph cannot be extended, and remains valid when the file is deleted.

    Raises:
      ValueError: If it is not a graph of this library.
    """
    try:
        found = faiss.read_index(path, faiss.IO_FLAG_MMAP_IFC if mapped else 0)
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    if not isinstance(found, Graph):
        raise ValueError(f'must be an {Graph.__name__}, got {type(found).__name__}')
    return found
