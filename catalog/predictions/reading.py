"""Reads the likeliest category of each product from a file of predictions, CSV or Parquet."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog import product_key, storage
from catalog.errors import UserError

_PARQUET = b'PAR1'  # the first bytes of the format
_COLUMNS = ('_id', 'category_id', 'confidence')

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Likeliest:
    """The likeliest category of each of N products.

    Attributes:
      categories: The distinct categories, as the file names them.
      category: The category of each product, an index in `categories`, int64 [N].
      confidence: float64 [N], in [0, 1].
      sha256: SHA-256 of the file, in hex.
      numbers: The ids of the products, ascending, int64 [N]; None if not all are integers.
      rows: The row of each id, as text; empty if all are integers.
    """

    categories: Sequence[str]
    category: Int64s
    confidence: npt.NDArray[np.float64]
    sha256: str
    numbers: Int64s | None
    rows: Mapping[str, int]

    def find(self, product_ids: Int64s, keys: npt.NDArray[np.bytes_] | None) -> Int64s:
        """Returns the row of each of M products, int64 [M]; -1 if it has none.

        Args:
          product_ids: Their ids, or the numbers of their keys, int64 [M].
          keys: Their keys, b'' for an integer id, bytes [M]. None if all ids are integers.
        """
        if keys is None and self.numbers is not None:
            return self._find_numbers(product_ids)
        texts = [str(number) for number in product_ids.tolist()]
        if keys is not None:
            for row, key in enumerate(keys.tolist()):
                texts[row] = product_key.shown(key) if key else texts[row]
        if self.numbers is None:
            return np.array([self.rows.get(text, -1) for text in texts], np.int64)
        found = np.full(len(texts), -1)
        integers = [row for row, text in enumerate(texts) if _is_int64(text)]
        found[integers] = self._find_numbers(np.array([int(texts[n]) for n in integers], np.int64))
        return found

    def _find_numbers(self, numbers: Int64s) -> Int64s:
        if self.numbers is None or not len(self.numbers):
            return np.full(len(numbers), -1)
        place = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        return np.where(self.numbers[place] == numbers, place, -1)


def read_likeliest(path: str) -> Likeliest:
    """Reads a file that `trainer.predict --confidence` wrote; other columns are ignored.

    Raises:
      UserError: If it is not such a file, or names a product twice.
    """
    data = storage.read_bytes(path)
    table = _read_table(data, path)
    texts: list[str] = table['_id'].to_pylist()
    encoded = table['category_id'].combine_chunks().dictionary_encode()
    category = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    confidence = table['confidence'].to_numpy()
    outside = np.flatnonzero(~((confidence >= 0) & (confidence <= 1)))
    if len(outside):
        row = outside[0]
        raise UserError(
            f'{path}: a confidence must be in [0, 1], got {confidence[row]:g} for product '
            f'{texts[row]}'
        )
    rows: dict[str, int] = {}
    for row, text in enumerate(texts):
        if rows.setdefault(text, row) != row:
            raise UserError(f'{path}: must have one row per product, got two of {text}')
    numbers = None
    if all(map(_is_int64, texts)):  # as an array they take a tenth of the memory
        unsorted = np.array([int(text) for text in texts], np.int64)
        order, rows = np.argsort(unsorted), {}
        numbers, category, confidence = unsorted[order], category[order], confidence[order]
    digest = hashlib.sha256(data).hexdigest()
    return Likeliest(encoded.dictionary.to_pylist(), category, confidence, digest, numbers, rows)


def _is_int64(text: str) -> bool:
    """Returns whether a text is an integer of 64 bits, as one is written."""
    try:
        return str(int(text)) == text and -(2**63) <= int(text) < 2**63
    except ValueError:
        return False


def _read_table(data: bytes, path: str) -> Any:
    """Returns the columns of `_COLUMNS`: texts and numbers, none of them null."""
    import pyarrow as pa  # takes a quarter of a second
    from pyarrow import csv, parquet

    types = {'_id': pa.string(), 'category_id': pa.string(), 'confidence': pa.float64()}
    try:
        if data.startswith(_PARQUET):
            table = parquet.read_table(pa.BufferReader(data))
        else:
            options = csv.ConvertOptions(column_types=types, strings_can_be_null=True)
            table = csv.read_csv(pa.BufferReader(data), convert_options=options)
        missing = [name for name in _COLUMNS if name not in table.column_names]
        if missing:
            raise UserError(
                f'{path}: predictions must have the columns {", ".join(_COLUMNS)}, got '
                f'{", ".join(table.column_names)}; trainer.predict --confidence writes them'
            )
        table = table.select(_COLUMNS).cast(pa.schema(list(types.items())))
    except pa.ArrowException as error:
        reason = str(error).split('\n')[0]
        raise UserError(f'{path}: must be predictions as CSV or Parquet, got: {reason}') from error
    for name in _COLUMNS:
        if table[name].null_count:
            raise UserError(f'{path}: each row must have a value of {name}, got an empty one')
    return table
