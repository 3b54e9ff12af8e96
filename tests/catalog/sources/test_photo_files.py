"""Photos in files of their own as a source: by folders, by lists."""

from pathlib import Path

import numpy as np
import pytest

from catalog import categories
from catalog.errors import UserError
from catalog.sources import opening
from catalog.sources.source import Products
from tests.catalog.sources import reading
from tests.shop import CATEGORY_IDS, jpeg, write_photo


def test_products_without_a_number_get_an_id_from_their_path(tmp_path: Path) -> None:
    names = ['red shoes/front.jpg', 'red shoes/side.jpg', 'blue.jpg', 'Blue.jpg', '12.jpg']
    for name in names:
        write_photo(tmp_path / 'photos', name, jpeg(len(name)))
    source = opening.open_source([str(tmp_path / 'photos')], tree=None)
    rows, rejected = reading.read_all(source, range_bytes=1)
    ids = set(rows['product_id'].tolist())
    assert not rejected
    assert len(rows) == 5
    assert len(ids) == 4
    assert 12 in ids
    assert all(0 <= number < 2**63 for number in ids)


def test_a_row_names_the_photo_in_the_listing(tmp_path: Path) -> None:
    for name in ('1.jpg', '2/a.jpg', '2/b.jpg', '3.jpg'):
        write_photo(tmp_path / 'photos', name, name.encode())
    source = opening.open_source([str(tmp_path / 'photos')], tree=None)
    assert not source.guesses_starts()
    rows, _ = reading.read_all(source, range_bytes=1 << 20)
    assert rows['offset'].tolist() == [0, 1, 2, 3]
    assert rows['index'].tolist() == [0, 0, 1, 0]
    order = np.array([3, 1, 0, 2])
    assert list(source.fetch(rows[order])) == [b'3.jpg', b'2/a.jpg', b'1.jpg', b'2/b.jpg']


def test_a_listed_photo_without_a_file_is_unreadable(categories_path: Path, tmp_path: Path) -> None:
    write_photo(tmp_path, 'here.jpg', jpeg(1))
    path = tmp_path / 'list.csv'
    path.write_text(
        f'path,category,product\ngone.jpg,{CATEGORY_IDS[0]},5\nhere.jpg,{CATEGORY_IDS[0]},5\n'
    )
    tree = categories.load(str(categories_path))
    source = opening.open_source([str(path)], tree=tree)
    (part,) = source.split(range_bytes=1 << 20)
    (found,) = source.read(part)
    assert isinstance(found, Products)
    assert {number: error.reason for number, error in found.unreadable.items()} == {0: 'missing'}
    assert found.places.tolist() == [[0, 0], [0, len(jpeg(1))]]
    kept = found.select(np.array([True]))
    assert list(kept.unreadable) == [0]


def test_a_deleted_photo_is_an_error_with_its_path(tmp_path: Path) -> None:
    write_photo(tmp_path / 'photos', '1.jpg', jpeg(1))
    source = opening.open_source([str(tmp_path / 'photos')], tree=None)
    rows, _ = reading.read_all(source, range_bytes=1 << 20)
    (tmp_path / 'photos' / '1.jpg').unlink()
    with pytest.raises(UserError, match=r'photos/1.jpg: was deleted while the job was running'):
        source.fetch(rows)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('file,category\na.jpg,1\n', 'must have the columns path, category and optionally product'),
        ('path,category\na.jpg,one\n', 'must be a list of photos, got: In CSV column #1: Row #2'),
        ('path,category\na.jpg\n', 'must be a list of photos, got: CSV parse error: Row #2'),
    ],
)
def test_an_invalid_list_is_an_error_of_one_line(
    content: str, message: str, categories_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / 'list.csv'
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        opening.open_source([str(path)], tree=categories.load(str(categories_path)))
    assert f'{path}: {message}' in str(caught.value)


def test_folders_that_name_no_category_are_an_error(categories_path: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / 'photos', 'SHOES/1.jpg', jpeg(1))
    tree = categories.load(str(categories_path))
    with pytest.raises(UserError, match=r"must be named by a category_id or as .*, got 'SHOES'"):
        opening.open_source([str(tmp_path / 'photos')], tree=tree)
