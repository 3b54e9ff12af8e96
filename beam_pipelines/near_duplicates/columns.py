"""The columns of visual hashes as they move through Beam, one row per picture."""

import numpy as np

from beam_pipelines.near_duplicates.visual_hash import HASH
from beam_pipelines.table import ROW


def _columns(*names: str) -> np.dtype[np.void]:
    hash_columns = [(name, HASH[name]) for name in HASH.names or ()]
    return np.dtype([(name, ROW[name]) for name in names] + hash_columns)


# The result of a scan.
VISUAL = _columns('product_id', 'document', 'file', 'index')
# Finds the held-out pictures that are near a picture of train, and their shards.
HELD_OUT = _columns('product_id', 'shard', 'index', 'split')
# Finds the products of pictures that are near each other.
LINKED = _columns('product_id')
# Where a picture is written, to be joined with its hash.
PLACED = np.dtype([(name, ROW[name]) for name in ('product_id', 'shard', 'index', 'split')])
