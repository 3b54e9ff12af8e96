"""Files of predictions, read back: the likeliest category of each product."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from catalog.errors import UserError
from catalog.predictions.reading import read_likeliest

HEADER = '_id,category_id,category_id_2,confidence,confidence_2\n'
ROWS = '30,7,8,0.900000,0.050000\n10,8,7,0.800000,0.100000\n20,7,,1.000000,\n'


def _written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_products_are_found_by_their_integer_ids_in_any_order(tmp_path: Path) -> None:
    read = read_likeliest(_written(tmp_path / 'p.csv', HEADER + ROWS))
    rows = read.find(np.array([20, 11, 30, 10]), None)
    assert rows.tolist()[1] == -1
    found = rows[[0, 2, 3]]
    assert [read.categories[n] for n in read.category[found]] == ['7', '7', '8']
    assert read.confidence[found].tolist() == [1.0, 0.9, 0.8]


def test_keys_are_found_by_their_text(tmp_path: Path) -> None:
    text = '_id,category_id,confidence\n"a,b",shoe,0.5\n007,hat,0.6\n7,shoe,0.7\n'
    read = read_likeliest(_written(tmp_path / 'p.csv', text))
    keys = np.array([b'a,b', b'007', b'', b'absent'])
    assert read.find(np.array([1, 2, 7, 3]), keys).tolist() == [0, 1, 2, -1]


def test_a_key_of_digits_is_found_where_all_ids_are_integers(tmp_path: Path) -> None:
    read = read_likeliest(_written(tmp_path / 'p.csv', HEADER + ROWS))
    rows = read.find(np.array([1, 2]), np.array([b'30', b'030']))
    assert read.numbers is not None
    assert (read.numbers[rows[0]], rows[1]) == (30, -1)


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    table = pa.table({'_id': [30, 10], 'category_id': [7, 8], 'confidence': [0.9, 0.8]})
    parquet.write_table(table, tmp_path / 'p.parquet')
    read = read_likeliest(str(tmp_path / 'p.parquet'))
    assert read.confidence[read.find(np.array([30, 10]), None)].tolist() == [0.9, 0.8]
    assert read.categories[read.category[read.find(np.array([10]), None)[0]]] == '8'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('_id,category_id\n1,7\n', 'must have the columns .*, got _id, category_id; trainer'),
        ('_id,category_id,confidence\n1,7,high\n', 'as CSV or Parquet, got: .*high'),
        ('_id,category_id,confidence\n1,7,1.5\n', r'in \[0, 1\], got 1\.5 for product 1'),
        ('_id,category_id,confidence\n1,7,0.5\n1,7,0.5\n', 'one row per product, got two of 1'),
        ('_id,category_id,confidence\n1,,0.5\n', 'must have a value of category_id'),
        ('', 'as CSV or Parquet, got: Empty CSV file'),
    ],
)
def test_a_file_that_is_no_predictions_is_an_error_of_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        read_likeliest(_written(tmp_path / 'p.csv', text))
    assert '\n' not in str(error.value)
    assert str(error.value).startswith(str(tmp_path))
