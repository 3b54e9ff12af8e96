"""Writes the files about rejected pieces and blank pictures.

`rejected.jsonl` has one line per piece: reason, message, described place, source file, offset,
length, product id, picture, and the name of its bytes in `rejected.zip`, or null if they are not
kept. `blank.jsonl` has the same for each blank picture except its bytes, since it is not rejected.
Empty files are not written. Only the owner may read the files: nobody has looked at their bytes.
Memory does not depend on how much is rejected.
"""

import dataclasses
import json
import zipfile
from collections.abc import Iterable, Sequence

import numpy as np

from beam_pipelines.scan.blank import MAX_RANGE
from beam_pipelines.scan.scan import rejected_picture
from beam_pipelines.table import Table, sort_by
from catalog import product_key, storage, terminal
from catalog.sources.source import Rejected, Source

FOLDER = 'rejected'
INDEX = 'rejected.jsonl'
BYTES = 'rejected.zip'
BLANK = 'blank.jsonl'

DEFAULT_BYTES = 10**9
_COPY_BYTES = 8 << 20

_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed date, so that equal content gives equal bytes


def describe(source: Source, rejected: Rejected) -> str:
    """Describes a rejected piece for a message."""
    product = '' if rejected.product_id is None else f', product {_shown_id(rejected)}'
    picture = '' if rejected.picture is None else f', picture {rejected.picture}'
    # Beam takes the message of an error only if it is UTF-8, which the name of a file may not be.
    return terminal.escape(
        f'{source.describe_place(rejected)}, {rejected.length} bytes'
        f'{product}{picture}: {rejected.reason}, {rejected.message}'
    )


def write_rejected(
    folder: str, source: Source, pieces: Sequence[Rejected], *, most_bytes: int = DEFAULT_BYTES
) -> None:
    """Writes `rejected.jsonl` and `rejected.zip` into a folder.

    Args:
      folder: The folder.
      source: Source of the pieces.
      pieces: Pieces in source order.
      most_bytes: Most bytes to keep in the archive. A piece that does not fit is left out.
    """
    if not pieces:
        return
    names: list[str | None] = []
    path = storage.join(folder, BYTES)
    with storage.write_atomic(path, private=True) as file, zipfile.ZipFile(file, 'w') as archive:
        for piece in pieces:
            if piece.length > most_bytes:
                names.append(None)
                continue
            most_bytes -= piece.length
            names.append(_entry_name(piece))
            _add_bytes(archive, source, piece)
    lines = (
        _line(source, piece) | {'bytes': name} for piece, name in zip(pieces, names, strict=True)
    )
    _write_lines(storage.join(folder, INDEX), lines)


def _add_bytes(archive: zipfile.ZipFile, source: Source, piece: Rejected) -> None:
    entry = zipfile.ZipInfo(_entry_name(piece), date_time=_EPOCH)
    if not source.guesses_starts():  # its offsets may not count bytes
        archive.writestr(entry, source.fetch_rejected(piece))
        return
    entry.file_size = piece.length
    with archive.open(entry, 'w') as target:
        for start in range(0, piece.length, _COPY_BYTES):
            length = min(_COPY_BYTES, piece.length - start)
            part = dataclasses.replace(piece, offset=piece.offset + start, length=length)
            target.write(source.fetch_rejected(part))


def write_blank(folder: str, source: Source, rows: Table) -> int:
    """Writes `blank.jsonl` into a folder, in source order. Returns the number of pictures."""
    ordered = sort_by(rows, 'file', 'document', 'index')
    if len(ordered):
        lines = (_line(source, _blank(row)) for row in ordered)
        _write_lines(storage.join(folder, BLANK), lines)
    return len(ordered)


def _blank(row: np.void) -> Rejected:
    message = f'no channel varies by more than {MAX_RANGE} of 255'
    return rejected_picture(row, reason='blank', message=message)


def _write_lines(path: str, lines: Iterable[dict[str, object]]) -> None:
    with storage.write_atomic(path, private=True) as file:
        for line in lines:
            text = json.dumps(line, ensure_ascii=False) + '\n'
            # The name of a file may not be UTF-8: its other bytes, surrogates, are JSON escapes.
            file.write(text.encode(errors='backslashreplace'))


def _entry_name(piece: Rejected) -> str:
    what = 'unknown' if piece.product_id is None else f'product-{piece.product_id}'
    part = '.bson' if piece.picture is None else f'-picture-{piece.picture}'
    return f'{piece.reason}/{piece.file}-{piece.offset}-{what}{part}'


def _shown_id(piece: Rejected) -> int | str | None:
    """Returns the shop's id of a product."""
    return product_key.normalize(piece.key) or piece.product_id


def _line(source: Source, piece: Rejected) -> dict[str, object]:
    return {
        'reason': piece.reason,
        'message': piece.message,
        'place': source.describe_place(piece),
        'file': source.file_name(piece.file),
        'offset': source.shown_offset(piece.file, piece.offset),
        'length': piece.length,
        'product_id': _shown_id(piece),
        'picture': piece.picture,
    }
