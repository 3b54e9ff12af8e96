"""Rows of predictions as CSV, as Kaggle takes them."""

import itertools
from collections.abc import Iterable
from typing import Any

from catalog.predictions.columns import Columns, Row


def format_header(columns: Columns) -> str:
    """Returns the first line."""
    return ','.join(columns.names()) + '\n'


def format_row(row: Row, columns: Columns) -> str:
    """Returns the line of a product."""
    cells: list[Any] = [_quote(row.product_id)]
    cells += _pad(map(_quote, row.prediction.category_ids), columns.top_k)
    if columns.confidence:
        cells += _pad(map(format_confidence, row.prediction.confidences), columns.top_k)
    if columns.level:
        cells.append(row.prediction.level)
    if columns.true_category:
        cells.append('' if row.true_category is None else _quote(row.true_category))
    return ','.join(map(str, cells)) + '\n'


def encode_rows(rows: Iterable[Row], columns: Columns) -> bytes:
    """Returns the lines of products. Bytes of a path that are not UTF-8 stay as they are."""
    lines = ''.join(format_row(row, columns) for row in rows)
    return lines.encode(errors='surrogateescape')


def format_confidence(value: float) -> str:
    """Returns a confidence as it is written, with six decimals."""
    return f'{value:.6f}'


def _pad(values: Iterable[Any], count: int) -> list[Any]:
    found = list(itertools.islice(values, count))
    return [*found, *[''] * (count - len(found))]


def _quote(value: int | str) -> int | str:
    """Returns an id as a CSV cell; codes, keys and paths may contain commas."""
    if isinstance(value, str) and any(character in value for character in ',"\r\n'):
        return '"' + value.replace('"', '""') + '"'
    return value
