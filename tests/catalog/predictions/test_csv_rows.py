"""Rows of predictions as CSV."""

import csv

from catalog.predictions import csv_rows
from catalog.predictions.columns import Columns, ProductPrediction, Row


def test_a_code_is_one_cell_whatever_it_contains() -> None:
    codes = ['C-7', 'A,B', 'an "X"']
    prediction = ProductPrediction(codes, [0.5, 0.3, 0.2], level=4)
    line = csv_rows.format_row(Row(9, prediction), Columns(top_k=4, level=True))
    assert next(csv.reader([line])) == ['9', *codes, '', '4']
