"""Category trees from folders and lists of photos."""

from pathlib import Path

import pytest

from catalog import categories
from catalog.errors import UserError
from catalog.photos import derived_tree
from tests.shop import write_photo


def derive(folder: Path, *names: str, product_folders: bool | None = None) -> str:
    for name in names:
        write_photo(folder, name, b'x')
    made = derived_tree.derive_from_folders([str(folder)], product_folders=product_folders)
    assert (
        categories.format_tree(
            [int(number) for number in categories.parse(made, path='derived').ids],
            categories.parse(made, path='derived').names,
        )
        == made
    )
    return made.decode()


def test_class_folders_are_the_categories(tmp_path: Path) -> None:
    names = ['shoes/1.jpg', 'Cafe\u0301s/1.jpg', 'shoes/x/2.jpg', 'empty/notes.txt', 'loose.jpg']
    assert derive(tmp_path, *names) == 'category_id,category_level1\n0,Cafés\n1,shoes\n'


def test_folders_that_are_numbers_are_ids(tmp_path: Path) -> None:
    names = ['10/1.jpg', '9/1.jpg']
    assert derive(tmp_path, *names) == 'category_id,category_level1\n9,9\n10,10\n'


def test_nested_folders_are_levels(tmp_path: Path) -> None:
    names = ['A/B/C/1.jpg', 'A/D/1.jpg', 'E > F/1.jpg']
    assert derive(tmp_path, *names, product_folders=False) == (
        'category_id,category_level1,category_level2,category_level3\n0,A,B,C\n1,A,D,\n2,E,F,\n'
    )


def test_innermost_folders_are_products_if_asked(tmp_path: Path) -> None:
    names = ['shoes/p1/1.jpg', 'shoes/p1/2.jpg', 'shoes/3.jpg', 'hats/p2/1.jpg']
    assert derive(tmp_path, *names, product_folders=True) == (
        'category_id,category_level1\n0,hats\n1,shoes\n'
    )
    (tmp_path / 'shoes' / '3.jpg').unlink()
    with pytest.raises(UserError) as caught:
        derive(tmp_path)
    assert str(caught.value) == (
        f'{tmp_path}: its 2 innermost folders have 1.5 photos each on average, so they may be '
        'products; --product_folders takes them for products of the folders above, and '
        '--noproduct_folders for categories'
    )


def test_folders_in_categories_are_products(tmp_path: Path) -> None:
    names = ['A/B/1.jpg', 'A/B/p/1.jpg', 'A/B/p/2.jpg', 'A/C/2.jpg']
    assert derive(tmp_path, *names) == (
        'category_id,category_level1,category_level2\n0,A,B\n1,A,C\n'
    )


def test_folders_without_photos_give_no_tree(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='must have folders with photos, which name'):
        derive(tmp_path, '1.jpg')


def test_categories_of_lists_give_a_tree() -> None:
    made = derived_tree.derive_from_texts(['A > C', 'B', 'A > B/D'], path='list.csv')
    assert made.decode() == 'category_id,category_level1,category_level2\n0,A,B/D\n1,A,C\n2,B,\n'
    made = derived_tree.derive_from_texts(['12', '7'], path='list.csv')
    assert made.decode() == 'category_id,category_level1\n7,7\n12,12\n'
    with pytest.raises(UserError, match="got '7' and 'A'; give the tree with --categories"):
        derived_tree.derive_from_texts(['7', 'A'], path='list.csv')
