"""Writes the files about rejected pieces and blank pictures.

`rejected.jsonl` has one line per piece: reason, message, described place, source file, offset,
length, product id, picture, and the name of its bytes in `rejected.zip`. `blank.jsonl` has the same
for each blank picture except its bytes, since it is not rejected. Empty files are not written. Only
the owner may read the files: nobody has looked at their bytes.
"""

import json
import zipfile
from collections.abc import Sequence

import numpy as np

from beam_pipelines.scan.blank import MAX_RANGE
from beam_pipelines.scan.scan import rejected_picture
from beam_pipelines.table import Table, sort_by
from catalog import storage
from catalog.sources.source import Rejected, Source

FOLDER = 'rejected'
INDEX = 'rejected.jsonl'
BYTES = 'rejected.zip'
BLANK = 'blank.jsonl'

_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed date, so that equal content gives equal bytes


def describe(source: Source, rejected: Rejected) -> str:
    """Describes a rejected piece for a message."""
    product = '' if rejected.product_id is None else f', product {rejected.product_id}'
    picture = '' if rejected.picture is None else f', picture {rejected.picture}'
    return (
        f'{source.describe_place(rejected)}, {rejected.length} bytes'
        f'{product}{picture}: {rejected.reason}, {rejected.message}'
    )


def write_rejected(folder: str, source: Source, pieces: Sequence[Rejected]) -> None:
    """Writes `rejected.jsonl` and `rejected.zip` into a folder, in source order."""
    if not pieces:
        return
    ordered = sorted(pieces, key=_order)
    path = storage.join(folder, BYTES)
    with storage.write_atomic(path, private=True) as file, zipfile.ZipFile(file, 'w') as archive:
        for piece in ordered:
            entry = zipfile.ZipInfo(_entry_name(piece), date_time=_EPOCH)
            archive.writestr(entry, source.fetch_rejected(piece))
    lines = [_line(source, piece) | {'bytes': _entry_name(piece)} for piece in ordered]
    _write_lines(storage.join(folder, INDEX), lines)


def write_blank(folder: str, source: Source, rows: Table) -> int:
    """Writes `blank.jsonl` into a folder, in source order. Returns the number of pictures."""
    ordered = sort_by(rows, 'file', 'document', 'index')
    if len(ordered):
        lines = [_line(source, _blank(row)) for row in ordered]
        _write_lines(storage.join(folder, BLANK), lines)
    return len(ordered)


def _blank(row: np.void) -> Rejected:
    message = f'no channel varies by more than {MAX_RANGE} of 255'
    return rejected_picture(row, reason='blank', message=message)


def _write_lines(path: str, lines: Sequence[dict[str, object]]) -> None:
    text = ''.join(json.dumps(line, ensure_ascii=False) + '\n' for line in lines)
    storage.write_bytes(path, text.encode(), private=True)


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
        'place': source.describe_place(piece),
        'file': source.file_name(piece.file),
        'offset': piece.offset,
        'length': piece.length,
        'product_id': piece.product_id,
        'picture': piece.picture,
    }
