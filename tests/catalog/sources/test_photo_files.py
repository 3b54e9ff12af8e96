"""Photos in files of their own as a source: by folders, by lists."""

from pathlib import Path

import numpy as np
import pytest

from catalog import categories
from catalog.errors import UserError
from catalog.listings.loading import load_photos
from catalog.schema.absent import ABOVE_CATEGORIES, NO_CATEGORY, UNKNOWN_CATEGORY
from catalog.schema.fields import Fields
from catalog.sources import opening
from catalog.sources.source import Products, Source
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
        (
            'a.jpg,1\n',
            ': must have a header with a column path, and optionally category and product, got '
            'a.jpg, 1; other names are given by --fields=path=COLUMN,category=COLUMN',
        ),
        (
            'path,category\na.jpg,LEAFS 3\n',
            ": the column category must have ids or names of the category tree, got 'LEAFS 3'; the "
            "nearest is 'LEVEL, 1 > MIDDLE > LEAF 3'",
        ),
        (
            'path,category\na.jpg\n',
            ", row 2: a row must have 2 fields as the header has, got 1: 'a.jpg'",
        ),
        (
            'path\na.jpg\n',
            ': must have a column category, as its photos are labelled; another name is given by '
            '--fields=category=COLUMN, and --unlabelled reads photos without categories',
        ),
        (
            'path,category\na.jpg,1\n ,2\n',
            ': every row must have a path, but row 3 has none; add it, or remove the row',
        ),
        (
            'path,category\nhttps://a.example/1.jpg,1\n',
            ": a path must be a file, but row 2 has a URL, 'https://a.example/1.jpg'; download the "
            "photos, and give their paths relative to the list's folder",
        ),
        (
            'path,category\nC:\\a\\1.jpg,1\n',
            ": a path must be on this machine, but row 2 has 'C:\\\\a\\\\1.jpg', on a drive of "
            "Windows; give it relative to the list's folder",
        ),
        ('', ': must be a list of photos, got: an empty file'),
        ('path,category\n', ': must list at least one photo, got none'),
    ],
)
def test_an_invalid_list_is_an_error_of_one_line(
    content: str, message: str, categories_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / 'list.csv'
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        opening.open_source([str(path)], tree=categories.load(str(categories_path)))
    assert str(caught.value) == f'{path}{message}'


def test_folders_that_name_no_category_are_an_error(categories_path: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / 'photos', 'SHOES/1.jpg', jpeg(1))
    tree = categories.load(str(categories_path))
    with pytest.raises(UserError, match=r"got 'SHOES' \(1 photo; the nearest category is '"):
        opening.open_source([str(tmp_path / 'photos')], tree=tree)


def tree_of(*paths: str) -> categories.Categories:
    rows = [f'{n},{",".join(path.split("/"))}\n' for n, path in enumerate(paths, 1)]
    text = 'category_id,category_level1,category_level2,category_level3\n' + ''.join(rows)
    return categories.parse(text.encode(), path='tree.csv')


TREE = tree_of(
    'Clothes/Shoes/Boots', 'Clothes/Shoes/Heels', 'Home/Kitchen/Café', 'Home/Garden/Wine'
)


def products(source: Source) -> list[tuple[int, str | int, int]]:
    """The category, id or key, and number of photos of each product."""
    found = []
    for listing in source.listings:
        photos = load_photos(listing)
        views = np.diff(photos.first).tolist()
        for number, count in enumerate(views):
            found.append((int(photos.category_ids[number]), photos.shown_id(number), count))
    return found


def open_folder(folder: Path, *names: str) -> Source:
    for number, name in enumerate(names):
        write_photo(folder, name, jpeg(number))
    return opening.open_source([str(folder)], tree=TREE)


def test_folders_name_categories_by_id_and_by_names(tmp_path: Path) -> None:
    source = open_folder(
        tmp_path,
        '1/a.jpg',
        'clothes/Shoes/Heels/b.jpg',
        'clothes/Shoes/Heels/c/1.jpg',
        'clothes/Shoes/Heels/c/2.jpg',
        'Home > Kitchen > Cafe\u0301/d.jpg',
        'wine/e.jpg',
    )
    assert sorted(products(source)) == [
        (1, '1/a.jpg', 1),
        (2, 'clothes/Shoes/Heels/b.jpg', 1),
        (2, 'clothes/Shoes/Heels/c', 2),
        (3, 'Home > Kitchen > Café/d.jpg', 1),
        (4, 'wine/e.jpg', 1),
    ]


def test_numbers_are_ids_unless_two_products_have_the_same(tmp_path: Path) -> None:
    source = open_folder(tmp_path, '1/1.jpg', '1/x.jpg', '2/2.jpg')
    assert [key for _, key, _ in products(source)] == [1, '1/x.jpg', 2]
    source = open_folder(tmp_path, '4/1.jpg', '4/9.jpg')
    assert [key for _, key, _ in products(source)] == [
        '1/1.jpg', '1/x.jpg', '2/2.jpg', '4/1.jpg', '4/9.jpg',
    ]  # fmt: skip
    assert source.notes() == [
        f'product ids are paths, not numbers, because of {tmp_path}/1/1.jpg and {tmp_path}/4/1.jpg'
    ]
    assert [key for _, key, _ in products(open_folder(tmp_path / 'a', '1/5.jpg', '1/05.JPEG'))] == [
        '1/05.JPEG', '1/5.jpg',
    ]  # fmt: skip


def test_a_product_has_the_same_id_alone_and_with_another_folder(tmp_path: Path) -> None:
    folders = [str(tmp_path / name) for name in ('flat', 'nested')]
    for folder, names in zip(
        folders, (['1/0.jpg', '2/0.jpg'], ['1/x.jpg', '3/7.jpg']), strict=True
    ):
        for number, name in enumerate(names):
            write_photo(Path(folder), name, jpeg(number))
    alone = [products(opening.open_source([folder], tree=TREE)) for folder in folders]
    assert alone == [[(1, '1/0.jpg', 1), (2, '2/0.jpg', 1)], [(1, '1/x.jpg', 1), (3, 7, 1)]]
    together = opening.open_source(folders, tree=TREE)
    assert products(together) == [*alone[0], *alone[1]]
    named = opening.open_source(folders, tree=TREE, folder_in_key=True)
    assert [key for _, key, _ in products(named)] == [
        'flat/1/0.jpg', 'flat/2/0.jpg', 'nested/1/x.jpg', 'nested/3/7.jpg',
    ]  # fmt: skip


@pytest.mark.parametrize(('name', 'shown'), [('1/x.jpg', "'1/x.jpg'"), ('1/7.jpg', '7')])
def test_products_of_two_folders_with_one_id_are_an_error(
    name: str, shown: str, tmp_path: Path
) -> None:
    folders = [str(tmp_path / folder) for folder in ('a', 'b')]
    for folder in folders:
        write_photo(Path(folder), name, jpeg(1))
    with pytest.raises(UserError) as caught:
        opening.open_source(folders, tree=TREE)
    assert str(caught.value) == (
        '--input: products of several folders must have different numbers or paths below these '
        f'folders, but {folders[0]}/{name} and {folders[1]}/{name} have the same id, {shown}; '
        '--folder_in_key begins the ids of photos with the name of their folder'
    )
    source = opening.open_source(folders, tree=TREE, folder_in_key=True)
    assert [key for _, key, _ in products(source)] == [f'a/{name}', f'b/{name}']


def test_lists_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    lists = [str(tmp_path / folder / 'list.csv') for folder in ('a', 'b')]
    for path in lists:
        write_photo(Path(path).parent, 'list.csv', b'path,category\n1.jpg,1\n')
    with pytest.raises(UserError, match=r"a/1.jpg and .*b/1.jpg .* '1.jpg'; give the lists a col"):
        opening.open_source(lists, tree=TREE)
    write_photo(tmp_path / 'b', 'sku.csv', b'path,category,sku\n1.jpg,1,X-1\n')
    found = products(opening.open_source([lists[0], str(tmp_path / 'b/sku.csv')], tree=TREE))
    assert found == [(1, '1.jpg', 1), (1, 'X-1', 1)]


def test_folders_without_a_category_are_named_with_the_nearest(tmp_path: Path) -> None:
    names = ['1/a.jpg', 'Bots/b.jpg', 'Bots/c.jpg', 'Clothes/Shoes/Helos/d.jpg', 'empty/x.txt']
    source = open_folder(tmp_path, *names)
    with pytest.raises(UserError) as caught:
        opening.check_folders(source, TREE)
    assert str(caught.value) == (
        f'{tmp_path}: each folder must be named by a category_id or by names of the category '
        "tree, got 'Bots' (2 photos; the nearest category is 'Clothes > Shoes > Boots'), "
        "'Clothes/Shoes/Helos' (1 photo; the nearest category is 'Clothes > Shoes > Heels'); "
        'rename or move them, or accept the loss of their photos with --max_rejected_fraction '
        'above its default'
    )
    assert [number for number, _, _ in products(source)].count(UNKNOWN_CATEGORY) == 3
    assert source.notes() == ['files passed over that are no photos: 1']


def test_photos_above_the_categories_have_none(tmp_path: Path) -> None:
    names = ('Clothes/a.jpg', 'Clothes/Shoes/Boots/b.jpg', 'c.jpg')
    source = open_folder(tmp_path, *names)
    with pytest.raises(UserError, match=r"got 'Clothes' \(1 photo; "):
        opening.check_folders(source, TREE)
    assert sorted(products(source)) == [
        (ABOVE_CATEGORIES, 'Clothes/a.jpg', 1),
        (ABOVE_CATEGORIES, 'c.jpg', 1),
        (1, 'Clothes/Shoes/Boots/b.jpg', 1),
    ]


def open_list(folder: Path, text: str) -> Source:
    (folder / 'list.csv').write_text(text)
    return opening.open_source([str(folder / 'list.csv')], tree=TREE)


def test_a_row_without_a_product_is_a_product(tmp_path: Path) -> None:
    text = 'path,category\nshoes/1.jpg,1\nboots/1.jpg,1\nboots/1.jpg,1\n'
    source = open_list(tmp_path, text)
    assert sorted(products(source)) == [(1, 'boots/1.jpg', 1), (1, 'shoes/1.jpg', 1)]
    assert source.notes() == ['rows passed over that repeat another: 1']


def test_rows_with_one_product_are_its_views(tmp_path: Path) -> None:
    text = 'path,category,sku\na.jpg,1,X-1\nb.jpg,1,X-1\nc.jpg|d.jpg,2,\ne.jpg,Boots,X-2\n'
    assert sorted(products(open_list(tmp_path, text))) == [
        (1, 'X-1', 2), (1, 'X-2', 1), (2, 'c.jpg', 2),
    ]  # fmt: skip


def test_paths_of_other_systems_and_absolute_paths_are_read(tmp_path: Path) -> None:
    names = ['a/1.jpg', 'b/ü 2.jpg', 'c/3.jpg', 'd/4.jpg', 'e/é.jpg']
    for number, name in enumerate(names):
        write_photo(tmp_path, name, jpeg(number))
    url = (tmp_path / 'b/ü 2.jpg').as_uri()
    paths = ['a\\1.jpg', url, f'{tmp_path}/c/3.jpg', './d/4.jpg', 'e/e\u0301.jpg']
    text = 'path,category\n' + ''.join(f'{path},1\n' for path in paths)
    source = open_list(tmp_path, text)
    rows, rejected = reading.read_all(source, range_bytes=1 << 20)
    assert len(rows) == 5
    assert not rejected
    assert {key for _, key, _ in products(source)} == set(names)
    assert set(source.fetch(rows)) == {jpeg(number) for number in range(5)}


def test_a_category_that_the_tree_does_not_have_is_rejected(tmp_path: Path) -> None:
    source = open_list(tmp_path, 'path,category\na.jpg,Boots\nb.jpg,Wellies\nc.jpg,\n')
    assert sorted(number for number, _, _ in products(source)) == [
        NO_CATEGORY, UNKNOWN_CATEGORY, 1,
    ]  # fmt: skip
    texts = [dict(piece.category_texts) for part in source.split(range_bytes=1 << 20)
             for piece in source.read(part)]  # fmt: skip
    assert sorted(texts, key=len) == [{}, {}, {0: 'Wellies'}]


def test_a_product_whose_rows_differ_is_refused(tmp_path: Path) -> None:
    text = (
        'path,category,sku,shop\n'
        'a.jpg,Boots,X-1,s1\na.jpg,Heels,X-1,s1\n'
        'b.jpg,Boots,X-2,s1\nc.jpg,Boots,X-2,s2\n'
        'd.jpg,,X-3,\ne.jpg,Heels,X-3,s1\n'  # cells of one product, left out in a row
        'f.jpg,Boots,,s1\nf.jpg,Heels,,s1\n'
    )
    (tmp_path / 'list.csv').write_text(text)
    fields = Fields((('group', 'shop'),))
    source = opening.open_source([str(tmp_path / 'list.csv')], tree=TREE, fields=fields)
    for name in 'abcdef':
        write_photo(tmp_path, f'{name}.jpg', jpeg(ord(name)))
    rows, rejected = reading.read_all(source, range_bytes=1 << 20)
    assert {(piece.key, piece.reason, piece.message) for piece in rejected} == {
        (
            'X-1',
            'conflicting_categories',
            "its rows 2 and 3 name the categories 'Boots' and 'Heels'",
        ),
        ('X-2', 'conflicting_groups', "its rows 4 and 5 name the groups 's1' and 's2'"),
        (
            'f.jpg',
            'conflicting_categories',
            "its rows 8 and 9 name the categories 'Boots' and 'Heels'",
        ),
    }
    assert sorted(source.shown_offset(0, piece.offset) for piece in rejected) == [2, 4, 8]
    assert [(key, category_id) for key, category_id in rows[['key', 'category_id']].tolist()] == [
        (b'X-3', 2), (b'X-3', 2),
    ]  # fmt: skip
    assert [source.shown_offset(0, offset) for offset in rows['offset'].tolist()] == [6, 7]


def test_trees_of_other_depths_and_codes_name_folders_and_rows(tmp_path: Path) -> None:
    text = 'category_id,category_level1,category_level2\n12,Toys,\nA1,Toys,Dolls\n007,Tools,Saws\n'
    tree = categories.parse(text.encode(), path='tree.csv')
    numbers = dict(zip(tree.codes, tree.ids.tolist(), strict=True))
    for number, name in enumerate(('Toys/a.jpg', 'Toys/Dolls/b.jpg', 'A1/c.jpg', '007/d.jpg')):
        write_photo(tmp_path / 'shop', name, jpeg(number))
    source = opening.open_source([str(tmp_path / 'shop')], tree=tree)
    assert {key: category_id for category_id, key, _ in products(source)} == {
        'Toys/a.jpg': numbers['12'],
        'Toys/Dolls/b.jpg': numbers['A1'],
        'A1/c.jpg': numbers['A1'],
        '007/d.jpg': numbers['007'],
    }
    for cells, wanted in ((['12', '12'], ['12']), (['007', 'Toys/Dolls'], ['007', 'A1'])):
        rows = ''.join(f'{number}.jpg,{cell}\n' for number, cell in enumerate(cells))
        path = tmp_path / f'{wanted[0]}.csv'
        path.write_text('path,category\n' + rows)
        source = opening.open_source([str(path)], tree=tree)
        assert {number for number, _, _ in products(source)} == {numbers[code] for code in wanted}
