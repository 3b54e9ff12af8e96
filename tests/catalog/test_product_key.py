import hashlib
from pathlib import Path

import pytest

from catalog import product_key
from catalog.errors import UserError


def test_a_number_is_63_bits_of_blake2b_of_kind_and_text() -> None:
    digest = hashlib.blake2b(b'string:SKU-1', digest_size=8).digest()
    expected = int.from_bytes(digest, 'big') % 2**63
    assert product_key.product_id('string', 'SKU-1') == expected
    # A fixed value, since data sets of different versions must agree.
    assert product_key.product_id('string', 'SKU-1') == 1597291672484232986


def test_the_same_text_of_another_kind_has_another_number() -> None:
    text = '0123456789abcdef01234567'
    numbers = {product_key.product_id(kind, text) for kind in product_key.KINDS}
    assert len(numbers) == len(product_key.KINDS)
    assert all(0 <= number < 2**63 for number in numbers)


def test_composed_and_decomposed_accents_are_the_same_key() -> None:
    composed, decomposed = 'caf\u00e9/1.jpg', 'cafe\u0301/1.jpg'
    assert product_key.encode(decomposed) == product_key.encode(composed) == b'caf\xc3\xa9/1.jpg'
    assert product_key.product_id('path', decomposed) == product_key.product_id('path', composed)


def test_a_path_that_is_not_utf8_keeps_its_bytes() -> None:
    text = b'a\xff.jpg'.decode(errors='surrogateescape')
    assert product_key.encode(text) == b'a\xff.jpg'
    assert product_key.decode(b'a\xff.jpg') == text


def test_two_keys_with_one_number_are_an_error_and_equal_keys_are_not() -> None:
    product_key.check_numbers([(1, b'a'), (2, b'b'), (1, b'a')])
    with pytest.raises(UserError, match=r"'a' and 'b' have the same, 1; rename"):
        product_key.check_numbers([(1, b'a'), (1, b'b')])
    with pytest.raises(UserError, match="an integer _id and 'b' have the same, 1"):
        product_key.check_numbers([(1, b''), (1, b'b')])


def test_damaged_keys_of_a_data_set_are_an_error_and_missing_ones_are_none(
    tmp_path: Path,
) -> None:
    assert product_key.load_keys(str(tmp_path)) == {}
    (tmp_path / 'products.parquet').write_bytes(b'PAR1')
    with pytest.raises(UserError, match=r'products\.parquet: must be a Parquet file'):
        product_key.load_keys(str(tmp_path))


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match='kind must be one of objectid'):
        product_key.product_id('sku', 'a')
