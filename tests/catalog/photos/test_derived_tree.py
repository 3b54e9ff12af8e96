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
    made = derived_tree.derive_from_folders([str(folder)], product_folders=product_folders).data
    assert (
        categories.format_tree(
            [int(number) for number in categories.parse(made, path='derived').ids],
            categories.parse(made, path='derived').names,
        )
        == made
    )
    return made.decode()


def test_class_folders_are_the_categories(tmp_path: Path) -> None:
    names = [
        'shoes/1.jpg',
        'Cafe\u0301s/1.jpg',
        'shoes/x/notes.txt',
        'empty/notes.txt',
        'loose.jpg',
    ]
    assert derive(tmp_path, *names) == 'category_id,category_level1\n0,Cafés\n1,shoes\n'


def test_folders_that_are_numbers_are_ids(tmp_path: Path) -> None:
    names = ['10/1.jpg', '9/1.jpg']
    assert derive(tmp_path, *names) == 'category_id,category_level1\n9,9\n10,10\n'


def test_nested_folders_are_levels(tmp_path: Path) -> None:
    names = ['A/B/C/1.jpg', 'A/D/1.jpg', 'E > F/1.jpg']
    assert derive(tmp_path, *names, product_folders=False) == (
        'category_id,category_level1,category_level2,category_level3\n0,A,B,C\n1,A,D,\n2,E,F,\n'
    )


def test_a_photo_in_a_parent_is_above_the_categories(tmp_path: Path) -> None:
    for name in ('Home/mug.jpg', 'Shoes/stray.jpg', 'Shoes/readme.txt', 'loose.jpg'):
        write_photo(tmp_path, name, b'x')
    for number in range(10):
        write_photo(tmp_path, f'Shoes/Boots/{number}.jpg', b'x')
        write_photo(tmp_path, f'Shoes/Heels/{number}.jpg', b'x')
    made = derived_tree.derive_from_folders([str(tmp_path)], product_folders=None)
    assert made.describe() == '3 from the folders: Home, Shoes > Boots, Shoes > Heels'
    assert made.above == {'.': 1, 'Shoes': 1}
    assert made.notes() == [
        'photos in folders above the categories, which are rejected: 2 (. 1, Shoes 1)'
    ]
    made.check_above(0.1)
    with pytest.raises(UserError) as caught:
        made.check_above(0.05)
    assert str(caught.value) == (
        '--input: folders above the categories must have no photos of their own, got 2 of 23 '
        'photos beside folders of photos (. 1, Shoes 1); move them, or use --product_folders if '
        'the folders beside them are products; --max_rejected_fraction, now 0.05, allows their loss'
    )


def test_innermost_folders_are_products_if_asked(tmp_path: Path) -> None:
    names = ['shoes/p1/1.jpg', 'shoes/p1/2.jpg', 'shoes/3.jpg', 'hats/p2/1.jpg', 'stray.jpg']
    for name in names:
        write_photo(tmp_path, name, b'x')
    made = derived_tree.derive_from_folders([str(tmp_path)], product_folders=True)
    assert made.data.decode() == 'category_id,category_level1\n0,hats\n1,shoes\n'
    assert made.notes() == [
        'photos in folders above the categories, which are rejected: 1 (. 1)',
        'photos beside folders of products, each a product: 1 (shoes 1)',
    ]
    with pytest.raises(UserError) as caught:
        derive(tmp_path)
    assert str(caught.value) == (
        f'{tmp_path}: its 2 innermost folders have 1.5 photos each on average, so they may be '
        'products; --product_folders takes them for products of the folders above, and '
        '--noproduct_folders for categories'
    )


def test_products_beside_categories_are_refused(tmp_path: Path) -> None:
    names = ['A/Shoes/p1/1.jpg', 'A/Misc/1.jpg']
    with pytest.raises(UserError) as caught:
        derive(tmp_path, *names, product_folders=True)
    assert str(caught.value) == (
        f'{tmp_path}/A: with --product_folders, the folders in a folder must be products or '
        "categories, got 'Misc', which has photos, and 'Shoes', which has folders of photos; put "
        "the photos of 'Misc' into folders of products, or give the tree with --categories"
    )


def test_folders_without_photos_give_no_tree(tmp_path: Path) -> None:
    (tmp_path / 'a').mkdir()
    for name, got in (
        ('a', 'no photos; is this the right folder?'),
        ('a/b.txt', 'no photos; 1 other file is in it; is this the right folder?'),
        (
            'a.jpg',
            '1 photo that is in none; --categories gives a tree, and --unlabelled reads photos '
            'without categories',
        ),
    ):
        if '.' in name:
            write_photo(tmp_path, name, b'x')
        with pytest.raises(UserError) as caught:
            derive(tmp_path)
        assert str(caught.value) == (
            f'{tmp_path}: must have photos in folders that are their categories (DIR/CATEGORY/), '
            f'got {got}'
        )


def test_categories_of_lists_give_a_tree() -> None:
    made = derived_tree.derive_from_texts({'A > C': 2, 'B': 1, 'A > B/D': 1}, path='list.csv')
    assert made.describe() == '3 from the list: A > B/D, A > C, B'
    assert (
        made.data.decode() == 'category_id,category_level1,category_level2\n0,A,B/D\n1,A,C\n2,B,\n'
    )
    made = derived_tree.derive_from_texts({'12': 1, '7': 1}, path='list.csv')
    assert made.data.decode() == 'category_id,category_level1\n7,7\n12,12\n'
    with pytest.raises(UserError, match="got '7' and 'A'; give the tree with --categories"):
        derived_tree.derive_from_texts({'7': 1, 'A': 1}, path='list.csv')


def test_a_typo_in_a_list_is_noted() -> None:
    counts = {'Shoes > Boots': 40, 'Shoes > Boot': 1, 'Sheos>Boots': 2, 'shoes > BOOTS': 3}
    counts |= {'Size 3': 1, 'Size 4': 90, 'Hats': 20, 'Caps': 1, 'Cape': 4, 'Gloves': 1}
    made = derived_tree.derive_from_texts(counts, path='list.csv')
    assert made.notes() == [
        "small categories that may be misspelled: 'Sheos > Boots' (2) for 'Shoes > Boots' (40), "
        "'Shoes > Boot' (1) for 'Shoes > Boots' (40), 'shoes > BOOTS' (3) for 'Shoes > Boots' (40)"
    ]
    many = {f'Category {chr(97 + n % 26)}{n}': 50 for n in range(5000)} | {'Categori a0': 1}
    assert derived_tree.derive_from_texts(many, path='list.csv').notes() == [
        "small categories that may be misspelled: 'Categori a0' (1) for 'Category a0' (50)"
    ]


def test_a_path_of_more_than_eight_names_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        derive(tmp_path, 'a/b/c/d/e/f/g/h/i/1.jpg')
    assert str(raised.value) == (
        f"{tmp_path}: a category must have at most 8 names, got 9: 'a > b > c > d > e > f > g > h "
        "> i'; shorten the path, or give the tree with --categories"
    )
    with pytest.raises(UserError, match='list: a category must have at most 8 names, got 9'):
        derived_tree.derive_from_texts({'a/b/c/d/e/f/g/h/i': 1}, path='list')
