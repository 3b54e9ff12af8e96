"""Which products an input has, also without categories of the tree, or of another schema."""

from collections.abc import Mapping
from pathlib import Path

import bson
import pytest

from catalog import categories
from catalog.errors import UserError
from catalog.inputs.options import SourceOptions, parse_fields
from tests.shop import jpeg, write_photo
from tests.trainer.conftest import category_names
from trainer.predict import inputs
from trainer.predict.dump_stream import DumpPosition, DumpProduct

TREE = categories.parse(category_names(4), path='category_names.csv')  # 1000, 1007, 1014, 1021


def read(source: Path, options: SourceOptions | None = None) -> list[DumpProduct]:
    stream = inputs.open_stream([str(source)], TREE, options or SourceOptions())
    return list(stream.read(DumpPosition()))


def pictures_of_each(products: list[DumpProduct]) -> Mapping[int | str, int]:
    return {product.key or product.product_id: len(product.pictures) for product in products}


def test_products_in_folders_of_unknown_names_are_not_joined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ('shoes/11/a.jpg', 'shoes/11/b.jpg', 'hats/12/a.jpg'):
        write_photo(tmp_path, name, jpeg(1))
    with pytest.raises(UserError, match='they may be products; --product_folders takes them for'):
        read(tmp_path)
    found = read(tmp_path, SourceOptions(product_folders=True))
    assert pictures_of_each(found) == {11: 2, 12: 1}
    assert {product.category for product in found} == {None}
    found = read(tmp_path, SourceOptions(product_folders=False))
    assert pictures_of_each(found) == {
        'hats/12/a.jpg': 1,
        'shoes/11/a.jpg': 1,
        'shoes/11/b.jpg': 1,
    }
    note = capsys.readouterr().err
    assert 'note: predicted without accuracy: ' in note
    assert "got 'hats' (1 photo; the nearest category is " in note
    assert '--max_rejected_fraction' not in note


def test_a_folder_of_many_photos_is_a_product_only_if_the_user_says_so(tmp_path: Path) -> None:
    for number in range(5):
        write_photo(tmp_path, f'shoes/{number}.jpg', jpeg(number))
    with pytest.raises(UserError, match='so they may be products or categories; --product_folders'):
        read(tmp_path)
    assert pictures_of_each(read(tmp_path, SourceOptions(product_folders=True))) == {'shoes': 5}
    found = read(tmp_path, SourceOptions(product_folders=False))
    assert pictures_of_each(found) == dict.fromkeys(range(5), 1)


def test_folders_of_few_photos_are_products(tmp_path: Path) -> None:
    for name in ('11/a.jpg', '11/b.jpg', '12/a.jpg', 'loose.jpg'):
        write_photo(tmp_path, name, jpeg(1))
    for options in (SourceOptions(), SourceOptions(product_folders=True)):
        assert pictures_of_each(read(tmp_path, options)) == {11: 2, 12: 1, 'loose.jpg': 1}


def test_folders_of_another_tree_among_known_ones_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ('1000/11/a.jpg', 'hats/12/a.jpg'):
        write_photo(tmp_path, name, jpeg(1))
    assert {product.product_id: product.category for product in read(tmp_path)} == {
        11: 1000,
        12: '',  # a category, which the tree does not have
    }
    note = capsys.readouterr().err
    assert 'note: some photos are predicted without accuracy: ' in note
    assert "got 'hats' (1 photo; the nearest category is " in note
    assert '--max_rejected_fraction' not in note


def write_dump(path: Path, *documents: dict[str, object]) -> Path:
    path.write_bytes(b''.join(map(bson.encode, documents)))
    return path


def test_a_dump_of_another_schema_is_an_error_that_proposes_its_fields(tmp_path: Path) -> None:
    dump = write_dump(tmp_path / 'shop.bson', {'sku': 'S1', 'images': [{'data': jpeg(1)}]})
    for check in (lambda: inputs.check_exists([str(dump)], SourceOptions()), lambda: read(dump)):
        with pytest.raises(UserError, match=r'; try --fields=_id=sku,imgs=images,picture=data$'):
            check()
    fields = parse_fields(['_id=sku', 'imgs=images', 'picture=data'])
    assert pictures_of_each(read(dump, SourceOptions(fields=fields))) == {'S1': 1}


def test_splits_and_groups_do_not_matter(tmp_path: Path) -> None:
    document = {'_id': 1, 'imgs': [{'picture': jpeg(1)}], 'category_id': 1000, 'part': '2024'}
    dump = write_dump(tmp_path / 'split.bson', document)
    fields = parse_fields(['split=part', 'group=part'])
    (product,) = read(dump, SourceOptions(fields=fields))
    assert (len(product.pictures), product.category) == (1, 1000)


def test_a_list_without_categories_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photo(tmp_path, 'a.jpg', jpeg(1))
    (tmp_path / 'new.csv').write_text('path\na.jpg\n')
    assert pictures_of_each(read(tmp_path / 'new.csv')) == {'a.jpg': 1}
    note = capsys.readouterr().err
    assert 'new.csv has no categories; --fields=category=COLUMN names their column' in note
    assert '--unlabelled' not in note
