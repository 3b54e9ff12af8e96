"""The columns of a file of predictions as typed values, for formats that have types."""

from typing import Any, Literal, NamedTuple

from catalog import product_key
from catalog.predictions import csv_rows
from catalog.predictions.columns import Columns, Row

Kind = Literal['INTEGER', 'FLOAT', 'STRING']  # as BigQuery names them


class Field(NamedTuple):
    """A column.

    Attributes:
      name: Its name.
      kind: Type of its values.
      required: Whether each row has a value.
    """

    name: str
    kind: Kind
    required: bool = False


def typed_fields(columns: Columns, *, text_ids: bool, codes: bool) -> list[Field]:
    """Returns the columns with their types.

    Args:
      columns: The columns.
      text_ids: Whether product ids are texts.
      codes: Whether the category ids of the tree are texts.
    """
    category: Kind = 'STRING' if codes else 'INTEGER'
    kinds: dict[str, Kind] = {'_id': 'STRING' if text_ids else 'INTEGER', 'level': 'INTEGER'}
    fields = []
    for name in columns.names():
        kind = kinds.get(name) or ('FLOAT' if name.startswith('confidence') else category)
        fields.append(Field(name, kind, required=name in ('_id', 'category_id', 'level')))
    return fields


def row_values(row: Row, columns: Columns, fields: list[Field]) -> dict[str, Any]:
    """Returns the values of a row by column, without those that are absent.

    Confidences have the six decimals of the CSV file. Text is valid UTF-8: other bytes of a path
    are escaped.
    """
    found = row.prediction
    values: list[Any] = [row.product_id, *_pad(found.category_ids, columns.top_k)]
    if columns.confidence:
        rounded = [float(csv_rows.format_confidence(value)) for value in found.confidences]
        values += _pad(rounded, columns.top_k)
    values += [found.level] if columns.level else []
    values += [row.true_category] if columns.true_category else []
    return {
        field.name: product_key.printable(str(value)) if field.kind == 'STRING' else value
        for field, value in zip(fields, values, strict=True)
        if value is not None
    }


def _pad(values: Any, count: int) -> list[Any]:
    found = list(values[:count])
    return [*found, *[None] * (count - len(found))]
