"""Files of predictions in each format, from literals."""

import io
import json

from pyarrow import parquet

from catalog.predictions.columns import Columns, ProductPrediction, Row
from catalog.predictions.formats import Format

COLUMNS = Columns(top_k=2, confidence=True, level=True, true_category=True)
ROWS = [
    Row('a/b,c.jpg', ProductPrediction([7, 9], [0.9000004, 0.1], level=3), true_category=9),
    Row('caf\udce9.jpg', ProductPrediction([7], [1 / 3], level=0)),  # not UTF-8 on disk
]


def written(form: Format, *parts: list[Row]) -> bytes:
    file = io.BytesIO()
    form.write_file(file, [form.encode_rows(rows) for rows in parts])
    return file.getvalue()


def test_csv_keeps_the_bytes_of_paths() -> None:
    form = Format('csv', COLUMNS, text_ids=True, codes=False)
    assert written(form, ROWS[:1], ROWS[1:]) == (
        b'_id,category_id,category_id_2,confidence,confidence_2,level,true_category_id\n'
        b'"a/b,c.jpg",7,9,0.900000,0.100000,3,9\n'
        b'caf\xe9.jpg,7,,0.333333,,0,\n'
    )


def test_json_lines_have_types_and_leave_out_what_is_absent() -> None:
    form = Format('json', COLUMNS, text_ids=True, codes=False)
    assert [json.loads(line) for line in written(form, ROWS[:1], ROWS[1:]).splitlines()] == [
        {
            '_id': 'a/b,c.jpg',
            'category_id': 7,
            'category_id_2': 9,
            'confidence': 0.9,
            'confidence_2': 0.1,
            'level': 3,
            'true_category_id': 9,
        },
        {'_id': 'caf\\udce9.jpg', 'category_id': 7, 'confidence': 0.333333, 'level': 0},
    ]


def test_parquet_has_the_same_values() -> None:
    form = Format('parquet', COLUMNS, text_ids=True, codes=False)
    table = parquet.read_table(io.BytesIO(written(form, ROWS[:1], [], ROWS[1:])))
    assert table.to_pydict() == {
        '_id': ['a/b,c.jpg', 'caf\\udce9.jpg'],
        'category_id': [7, 7],
        'category_id_2': [9, None],
        'confidence': [0.9, 0.333333],
        'confidence_2': [0.1, None],
        'level': [3, 0],
        'true_category_id': [9, None],
    }


def test_a_file_without_rows_has_columns() -> None:
    table = parquet.read_table(
        io.BytesIO(written(Format('parquet', COLUMNS, text_ids=False, codes=True)))
    )
    assert [str(field.type) for field in table.schema] == [
        'int64', 'string', 'string', 'double', 'double', 'int64', 'string',
    ]  # fmt: skip
    assert table.num_rows == 0
    assert written(Format('csv', Columns(), text_ids=False, codes=False)) == b'_id,category_id\n'


def test_the_schema_is_bigquery_s() -> None:
    form = Format('json', Columns(confidence=True), text_ids=False, codes=True)
    assert json.loads(form.bigquery_schema()) == [
        {'name': '_id', 'type': 'INTEGER', 'mode': 'REQUIRED'},
        {'name': 'category_id', 'type': 'STRING', 'mode': 'REQUIRED'},
        {'name': 'confidence', 'type': 'FLOAT', 'mode': 'NULLABLE'},
    ]
