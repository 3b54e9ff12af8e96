"""`predictions.parquet`."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from catalog.errors import UserError
from trainer.metrics import prediction_table
from trainer.metrics.prediction_table import Predictions

CLASSES = 6


def _rows(first: int, count: int) -> Predictions:
    return Predictions(
        product_id=np.arange(first, first + count),
        label=np.arange(first, first + count) % CLASSES,
        leaked=np.arange(count) % 2 == 0,
        pictures=np.full(count, 2),
        predicted=np.tile(np.array([4, 1, 0]), (count, 1)) + np.arange(count)[:, None],
        confidence=np.tile(np.array([0.6, 0.3, 0.1], np.float32), (count, 1)),
        probability=np.tile(np.array([0.8, 0.15, 0.05], np.float32), (count, 1)),
        label_log_probability=np.full(count, -0.25),
    )


def test_the_table_has_a_row_per_product_with_lists(tmp_path: Path) -> None:
    path = str(tmp_path / 'predictions.parquet')
    with prediction_table.open_writer(path) as table:
        table.write(_rows(100, 2))
        table.write(_rows(200, 1))

    rows = pq.read_table(path).to_pylist()
    assert [row['product_id'] for row in rows] == [100, 101, 200]
    assert rows[1]['label'] == 101 % CLASSES
    assert rows[1]['predicted'] == [5, 2, 1]
    assert rows[1]['confidence'] == pytest.approx([0.6, 0.3, 0.1])
    assert rows[1]['probability'] == pytest.approx([0.8, 0.15, 0.05])
    assert rows[1]['label_log_probability'] == -0.25
    assert (rows[0]['leaked'], rows[1]['leaked']) == (True, False)

    restored = prediction_table.read(path)
    np.testing.assert_array_equal(restored.predicted, [[4, 1, 0], [5, 2, 1], [4, 1, 0]])
    np.testing.assert_array_equal(restored.product_id, [100, 101, 200])


def test_the_table_has_the_keys_of_products_that_have_some(tmp_path: Path) -> None:
    path = str(tmp_path / 'predictions.parquet')
    with prediction_table.open_writer(path, {100: 'SKU-1'}) as table:
        table.write(_rows(100, 2))
    assert pq.read_table(path).column('product_key').to_pylist() == ['SKU-1', None]
    np.testing.assert_array_equal(prediction_table.read(path).product_id, [100, 101])
    with prediction_table.open_writer(path) as table:
        table.write(_rows(100, 2))
    assert 'product_key' not in pq.read_schema(path).names


def test_many_small_writes_make_few_row_groups(tmp_path: Path) -> None:
    path = str(tmp_path / 'predictions.parquet')
    with prediction_table.open_writer(path) as table:
        for first in range(0, 70_000, 700):
            table.write(_rows(first, 700))
    file = pq.ParquetFile(path)
    assert file.metadata.num_rows == 70_000
    assert file.metadata.num_row_groups == 2


def test_an_invalid_table_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / 'predictions.parquet'
    path.write_bytes(b'PAR1 but not really PAR1')
    with pytest.raises(UserError, match=r'predictions\.parquet: must be a table of predictions'):
        prediction_table.read(str(path))
