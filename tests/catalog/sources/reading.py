"""Reads all of a source."""

import numpy as np
import numpy.typing as npt

from catalog.sources.source import Rejected, Source

ROW = np.dtype(
    [
        ('product_id', '<i8'),
        ('category_id', '<i8'),
        ('file', '<i4'),
        ('offset', '<i8'),
        ('length', '<i8'),
        ('index', '<i4'),
    ]
)


def read_all(source: Source, *, range_bytes: int) -> tuple[npt.NDArray[np.void], list[Rejected]]:
    """Returns a row per picture and the rejected pieces, from a source that guesses no starts."""
    row = ROW
    if source.key_bytes():
        row = np.dtype([*ROW.descr, ('key', f'S{source.key_bytes()}')])
    tables, rejected = [np.zeros(0, row)], []
    for part in source.split(range_bytes=range_bytes):
        for piece in source.read(part):
            if isinstance(piece, Rejected):
                rejected.append(piece)
                continue
            rows = np.zeros(len(piece.places), row)
            if source.key_bytes() and piece.keys is not None:
                rows['key'] = np.repeat(piece.keys, piece.views)
            rows['product_id'] = np.repeat(piece.product_ids, piece.views)
            rows['category_id'] = np.repeat(piece.category_ids, piece.views)
            rows['file'] = part.file
            rows['offset'], rows['length'] = piece.offsets, piece.places[:, 1]
            rows['index'] = np.concatenate([np.arange(views) for views in piece.views.tolist()])
            tables.append(rows)
    return np.concatenate(tables), rejected
