"""Lines of submission.csv."""

import csv

from trainer.predict import submission
from trainer.predict.submission import Columns, ProductPrediction


def test_a_code_is_one_cell_whatever_it_contains() -> None:
    codes = ['C-7', 'A,B', 'an "X"']
    prediction = ProductPrediction(codes, [0.5, 0.3, 0.2], level=4)
    line = submission.format_row(9, prediction, None, Columns(top_k=4, level=True))
    assert next(csv.reader([line])) == ['9', *codes, '', '4']
