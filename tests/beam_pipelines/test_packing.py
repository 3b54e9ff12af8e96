"""Packed rows are restored, whatever numbers they contain."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from beam_pipelines import packing, table
from beam_pipelines.table import Table

tables = arrays.arrays(table.ROW, st.integers(0, 20))
small = st.lists(st.integers(-2, 300), max_size=20)


def _rows(product_ids: list[int]) -> Table:
    rows = table.empty(len(product_ids))
    rows['product_id'] = product_ids
    return rows


@given(parts=st.lists(tables, max_size=3))
def test_packed_columns_are_restored_and_the_others_are_zeros(parts: list[Table]) -> None:
    packed = [packing.pack(rows, table.DEALT) for rows in parts]
    found = packing.unpack(packed, table.DEALT)
    packed_rows = np.concatenate([table.empty(0), *parts])
    expected = table.with_columns(table.with_columns(packed_rows, table.DEALT), table.ROW)
    assert sorted(found.tolist()) == sorted(expected.tolist())


@given(product_ids=small)
def test_rows_keep_their_order(product_ids: list[int]) -> None:
    rows = _rows(product_ids)
    found = packing.unpack([packing.pack(rows, table.DOCUMENT)], table.DOCUMENT)
    assert found['product_id'].tolist() == product_ids


@given(product_ids=small, seed=st.integers(0, 99))
def test_rows_are_grouped_by_key(product_ids: list[int], seed: int) -> None:
    keys = np.random.default_rng(seed).integers(0, 4, len(product_ids))
    found = {
        key: packing.unpack([packed], table.DOCUMENT)['product_id'].tolist()
        for key, packed in packing.pack_by_key(_rows(product_ids), keys, table.DOCUMENT)
    }
    expected: dict[int, list[int]] = {}
    for key, product_id in zip(keys.tolist(), product_ids, strict=True):
        expected.setdefault(key, []).append(product_id)
    assert found == expected
    assert list(found) == sorted(found)


def test_a_small_number_takes_one_byte_per_row() -> None:
    head_bytes = 3  # 20 bits, for a product id, a document, a file
    rows = _rows([7] * 1000)
    assert len(packing.pack(rows, table.DOCUMENT)) == head_bytes + 1000
    rows['document'] = 256  # one byte more, although its low byte is zero
    assert len(packing.pack(rows, table.DOCUMENT)) == head_bytes + 2000
