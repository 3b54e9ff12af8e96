"""The files that keep what could not be used: an index for people and the bytes themselves.

`rejected.jsonl` has one line a piece: reason, message, place in words, source file, offset, length,
product id, picture, and the name of its bytes in `rejected.zip`. Both are left out where nothing
was rejected.
"""

import json
import zipfile
from collections.abc import Sequence

from beam_pipelines.scan import Rejected
from beam_pipelines.sources.source import Source
from catalog import storage

FOLDER = 'rejected'
INDEX = 'rejected.jsonl'
BYTES = 'rejected.zip'

_EPOCH = (1980, 1, 1, 0, 0, 0)  # zip's first day: equal content, equal bytes


def describe(source: Source, rejected: Rejected) -> str:
    """One rejected piece in words."""
    product = '' if rejected.product_id is None else f', product {rejected.product_id}'
    picture = '' if rejected.picture is None else f', picture {rejected.picture}'
    return (
        f'{source.place(rejected)}, {rejected.length} bytes'
        f'{product}{picture}: {rejected.reason}, {rejected.message}'
    )


def write(folder: str, source: Source, pieces: Sequence[Rejected]) -> None:
    """Writes both files into a folder, in source order."""
    if not pieces:
        return
    ordered = sorted(pieces, key=_order)
    path = storage.join(folder, BYTES)
    with storage.write_atomic(path) as file, zipfile.ZipFile(file, 'w') as archive:
        for piece in ordered:
            entry = zipfile.ZipInfo(_entry_name(piece), date_time=_EPOCH)
            archive.writestr(entry, source.fetch_rejected(piece))
    lines = (json.dumps(_line(source, piece), ensure_ascii=False) for piece in ordered)
    text = '\n'.join(lines) + '\n'
    storage.write_bytes(storage.join(folder, INDEX), text.encode())


def _order(piece: Rejected) -> tuple[int, int, int, int, str]:
    product = -1 if piece.product_id is None else piece.product_id
    picture = -1 if piece.picture is None else piece.picture
    return piece.file, piece.offset, product, picture, piece.reason


def _entry_name(piece: Rejected) -> str:
    what = 'unknown' if piece.product_id is None else f'product-{piece.product_id}'
    part = '.bson' if piece.picture is None else f'-picture-{piece.picture}'
    return f'{piece.reason}/{piece.file}-{piece.offset}-{what}{part}'


def _line(source: Source, piece: Rejected) -> dict[str, object]:
    return {
        'reason': piece.reason,
        'message': piece.message,
        'place': source.place(piece),
        'file': source.name(piece.file),
        'offset': piece.offset,
        'length': piece.length,
        'product_id': piece.product_id,
        'picture': piece.picture,
        'bytes': _entry_name(piece),
    }
