"""Columns of lists of photos are read whatever their types are, and ids never lose digits."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from catalog.errors import UserError
from catalog.photos import list_columns


def convert(**columns: Any) -> dict[str, list[Any]]:
    table = pa.table(columns)
    rows = np.arange(2, 2 + table.num_rows)
    converted, _ = list_columns.convert(table, rows, path='list')
    return dict(converted.to_pydict())


@pytest.mark.parametrize(
    ('cells', 'ids'),
    [
        (pa.array([Decimal('7'), Decimal('8')]), [7, 8]),
        (pa.array([Decimal('7.5'), Decimal('8.0')]), ['7.5', '8.0']),
        (pa.array([7, 2**63], pa.uint64()), ['7', '9223372036854775808']),
        (pa.array([7, None], pa.float64()), [7, None]),
        (pa.array([b'7', b'8']), [7, 8]),
        (pa.array(['1E5', '2E5']), ['1E5', '2E5']),
    ],
)
def test_ids_are_integers_or_text(cells: Any, ids: list[Any]) -> None:
    assert convert(path=['1.jpg', '2.jpg'], product=cells)['product'] == ids


@pytest.mark.parametrize(
    ('cells', 'shown'),
    [
        (['4,01E+12', '4,01E+12'], "'4,01E+12'"),
        (['4.00638E+12', '7'], "'4.00638E+12'"),
        ([1234567890123456789.0, 7.0], '1.2345678901234568e+18'),
        (pa.array([16777218.0, 7.0], pa.float32()), '16777218.0'),
        ([float('inf'), 7.0], 'inf'),
    ],
)
def test_ids_that_have_lost_digits_are_refused(cells: Any, shown: str) -> None:
    with pytest.raises(UserError) as raised:
        convert(path=['1.jpg', '2.jpg'], product=cells)
    assert str(raised.value) == (
        f'list: the column product must have complete numbers, but row 2 has {shown}, which has '
        'lost digits; format the column as text, and save it again'
    )


def test_a_path_may_be_marked_as_bytes() -> None:
    assert convert(path=[b'1.jpg', 'é.jpg'.encode()]) == {'path': ['1.jpg', 'é.jpg']}


def test_a_row_with_an_empty_list_of_paths_is_not_lost() -> None:
    with pytest.raises(UserError, match='every row must have a path, but row 3 has none'):
        convert(path=[['1.jpg'], []], category=[7, 8])


@pytest.mark.parametrize('cells', [[True, False], [[1], [2]]])
def test_other_types_are_named(cells: list[Any]) -> None:
    with pytest.raises(UserError, match='the column category must be integers or text, got '):
        convert(path=['1.jpg', '2.jpg'], category=cells)


def test_a_column_that_is_there_twice_is_named() -> None:
    with pytest.raises(UserError, match="a column must be there once, got 'Path' and 'PATH'; "):
        list_columns.choose(['Path', 'PATH'], {}, path='list')
