"""Indexes of real products by a real model: what they contain, and how they grow."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catalog.errors import UserError
from serving.index import building
from serving.index.building import Built
from serving.similar.product_index import ProductIndex
from tests.serving.colours import BLUE, GREEN, RED, jpeg, save_version
from tests.serving.products import Product, write_data_set, write_records
from tests.serving.running import ROOT

DARK_RED, PURPLE, GREY = (120, 10, 15), (150, 30, 160), (120, 125, 118)
CUT = jpeg(RED)[:300]
FIRST = [
    Product(7, [RED, DARK_RED], label=0),
    Product(3, [GREEN], label=1),
    Product(900_000_000_000, [BLUE], label=2, key='sac/n°5'.encode()),
]


@pytest.fixture(name='model')
def model_fixture(colours_version: str) -> str:
    return colours_version


def build(model: str, data: str, output: Path, **options: Any) -> Built:
    options = {'thumbnail_pixels': 160, **options}
    return building.build(model=model, data=data, output=str(output), **options)


def open_index(output: Path, version: int) -> ProductIndex:
    return ProductIndex(str(output / str(version)), version=version)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_photo_finds_its_product_with_id_category_and_thumbnail(
    model: str, embed: Any, tmp_path: Path
) -> None:
    built = build(model, write_data_set(tmp_path / 'data', FIRST), tmp_path / 'similar')
    assert (built.version, built.is_new, built.added, built.pictures) == (1, True, 3, 4)
    index = open_index(tmp_path / 'similar', 1)
    assert (len(index), index.info.dimensions) == (3, 3)
    assert (index.info.model.name, index.info.model.version) == (Path(model).parent.name, 1)

    ids, distances, products = index.search(embed(jpeg(BLUE), jpeg(GREEN)), 2)
    assert ids[:, 0].tolist() == [900_000_000_000, 3]
    assert distances.shape == (2, 2)
    assert (distances[:, 0] < 1e-3).all()
    assert (distances[:, 1] > 0.1).all()
    bag, boots = products[0][0], products[1][0]
    assert (bag.shown_id, bag.key, bag.category_id) == ('sac/n°5', 'sac/n°5', 1000000300)
    assert bag.category == ('BAGS', 'BAGS', 'BAGS')
    assert (boots.shown_id, boots.key) == (3, None)
    assert boots.category == ('SHOES', 'BOOTS', 'OTHER BOOTS')
    assert index.find(3) == boots
    assert index.find(4) is None
    assert index.thumbnail(3) == jpeg(GREEN)  # small enough to be kept
    assert index.thumbnail(7) == jpeg(RED)  # of the first photo
    assert index.thumbnail(4) is None


def test_a_product_is_the_mean_of_its_pictures(model: str, embed: Any, tmp_path: Path) -> None:
    build(model, write_data_set(tmp_path / 'data', FIRST), tmp_path / 'similar')
    mean = embed(jpeg(RED), jpeg(DARK_RED)).mean(axis=0, keepdims=True)
    ids, distances, _ = open_index(tmp_path / 'similar', 1).search(mean, 1)
    assert ids.tolist() == [[7]]
    assert abs(distances[0, 0]) < 1e-5


def test_copies_and_views_in_records_of_their_own_count_once(model: str, tmp_path: Path) -> None:
    whole = [product.record() for product in FIRST]
    parts = [
        record._replace(pictures=[picture], indices=[index])
        for record in [*whole, *whole[:2]]
        for picture, index in zip(record.pictures, record.indices, strict=True)
    ]
    by_product = write_data_set(tmp_path / 'products', FIRST)
    by_picture = write_records(tmp_path / 'pictures', parts[::-1])
    build(model, by_product, tmp_path / 'a')
    built = build(model, by_picture, tmp_path / 'b')
    assert (built.added, built.pictures) == (3, 4)
    a, b = open_index(tmp_path / 'a', 1), open_index(tmp_path / 'b', 1)
    np.testing.assert_array_equal(a.table.product_ids, b.table.product_ids)
    np.testing.assert_array_equal(a.table.digests, b.table.digests)
    np.testing.assert_allclose(a.embeddings(), b.embeddings(), atol=1e-3)
    assert a.thumbnail(7) == b.thumbnail(7) == jpeg(RED)


def test_grown_data_adds_only_the_new_products(model: str, embed: Any, tmp_path: Path) -> None:
    output = tmp_path / 'similar'
    build(model, write_data_set(tmp_path / 'first', FIRST), output)
    grown = write_data_set(tmp_path / 'grown', [Product(1, [PURPLE]), *FIRST], shards=3)
    built = build(model, grown, output)
    assert (built.version, built.kept, built.added, built.pictures) == (2, 3, 1, 1)
    assert (built.changed, built.removed, built.rebuilt) == (0, 0, '')
    old, new = open_index(output, 1), open_index(output, 2)
    np.testing.assert_array_equal(new.embeddings()[:3], old.embeddings())
    ids, _, _ = new.search(embed(*map(jpeg, (PURPLE, RED, GREEN, BLUE))), 1)
    assert ids.ravel().tolist() == [1, 7, 3, 900_000_000_000]
    assert new.thumbnail(1) == jpeg(PURPLE)
    assert new.thumbnail(3) == jpeg(GREEN)


def test_changed_and_removed_products_are_not_found_any_more(
    model: str, embed: Any, tmp_path: Path
) -> None:
    output = tmp_path / 'similar'
    build(model, write_data_set(tmp_path / 'first', FIRST), output)
    second = [FIRST[0], Product(3, [GREY], label=2)]
    built = build(model, write_data_set(tmp_path / 'second', second), output)
    assert (built.kept, built.added, built.changed, built.removed) == (1, 1, 1, 1)
    index = open_index(output, 2)
    ids, distances, products = index.search(embed(jpeg(GREY), jpeg(BLUE)), 5)
    assert sorted(ids[0].tolist()) == [3, 7]
    assert ids[0, 0] == 3
    assert (distances[1] > 0.1).all()  # the blue product is gone
    assert products[0][0].category_id == 1000000300
    assert index.thumbnail(3) == jpeg(GREY)
    assert index.thumbnail(7) == jpeg(RED)
    assert index.thumbnail(900_000_000_000) is None


def test_many_products_with_one_placeholder_photo_do_not_hide_the_others(
    model: str, embed: Any, tmp_path: Path
) -> None:
    others = [(5 * i, 250 - 5 * i, 3 * (i % 7)) for i in range(50)]
    data = [Product(1000 + number, [GREY]) for number in range(2000)]
    data += [Product(number, [colour]) for number, colour in enumerate(others)]
    output = tmp_path / 'similar'
    build(model, write_data_set(tmp_path / 'first', data[100:]), output)
    build(model, write_data_set(tmp_path / 'second', data), output)
    index = open_index(output, 2)
    found = index.search(embed(*map(jpeg, others)), 1)
    exact = (1 - embed(*map(jpeg, others)) @ index.embeddings().T).min(axis=1)
    np.testing.assert_allclose(found.distances[:, 0], exact, atol=1e-3)
    assert (found.ids < 1000).all()
    nearest = index.search(embed(jpeg(GREY)), 2010)
    assert sorted(nearest.ids[0, :2000].tolist()) == list(range(1000, 3000))
    assert (nearest.ids[0, 2000:] < 1000).all()
    assert (np.diff(nearest.distances) >= 0).all()


def test_the_same_inputs_give_the_same_bytes(model: str, tmp_path: Path) -> None:
    data = write_data_set(tmp_path / 'data', FIRST)
    grown = write_data_set(tmp_path / 'grown', [*FIRST, Product(1, [PURPLE])])
    for output in (tmp_path / 'a', tmp_path / 'b'):
        build(model, data, output)
        build(model, grown, output)
    for version in ('1', '2'):
        assert files(tmp_path / 'a' / version) == files(tmp_path / 'b' / version)


def test_an_index_that_is_up_to_date_is_not_published_again(model: str, tmp_path: Path) -> None:
    data, output = write_data_set(tmp_path / 'data', FIRST), tmp_path / 'similar'
    build(model, data, output)
    built = build(model, data, output)
    assert (built.version, built.is_new, built.kept, built.added) == (1, False, 3, 0)
    assert os.listdir(output) == ['1']


def test_another_model_rebuilds_all(model: str, tmp_path: Path) -> None:
    data, output = write_data_set(tmp_path / 'data', FIRST), tmp_path / 'similar'
    build(model, data, output)
    save_version(tmp_path, 2, bias=2.0)
    built = build(str(tmp_path / '2'), data, output)
    assert (built.version, built.kept, built.added) == (2, 0, 3)
    old, new = Path(model).parent.name, tmp_path.name
    assert built.rebuilt == f'the model changed from {old} 1 to {new} 2'
    assert open_index(output, 2).info.model.sha256 != open_index(output, 1).info.model.sha256


def test_a_category_that_moved_needs_no_embedding(model: str, tmp_path: Path) -> None:
    output = tmp_path / 'similar'
    build(model, write_data_set(tmp_path / 'first', FIRST), output)
    moved = [*FIRST[:2], Product(**{**vars(FIRST[2]), 'label': 1})]
    built = build(model, write_data_set(tmp_path / 'second', moved), output)
    assert (built.version, built.kept, built.added) == (2, 3, 0)
    assert open_index(output, 2).find(900_000_000_000).category_id == 1000000200


def test_undecodable_pictures_are_counted_and_the_others_are_indexed(
    model: str, embed: Any, tmp_path: Path
) -> None:
    products = [*FIRST, Product(8, [CUT]), Product(9, [CUT, PURPLE]), Product(10, [CUT, CUT])]
    output = tmp_path / 'similar'
    built = build(model, write_data_set(tmp_path / 'data', products), output)
    assert (built.added, built.pictures) == (4, 5)
    assert (built.undecodable, built.info.left_out, built.info.products) == (4, 2, 4)
    index = open_index(output, 1)
    assert index.search(embed(jpeg(PURPLE)), 1).ids.tolist() == [[9]]
    assert index.thumbnail(9) == jpeg(PURPLE)
    assert index.find(8) is None

    with pytest.raises(UserError, match='must have products in train, got none'):
        build(model, write_data_set(tmp_path / 'empty', []), output)
    only_cut = write_data_set(tmp_path / 'cut', products[3:4])
    with pytest.raises(UserError, match=r'must have a picture that the model can decode, got 1 '):
        build(model, only_cut, tmp_path / 'none')
    assert not (tmp_path / 'none').exists()


def test_thumbnails_have_at_most_the_given_pixels(model: str, tmp_path: Path) -> None:
    path = tmp_path / 'wide.jpg'
    Image.new('RGB', (400, 100), RED).save(path)
    data = write_data_set(tmp_path / 'data', [Product(1, [path.read_bytes()])])
    build(model, data, tmp_path / 'similar', thumbnail_pixels=40)
    (tmp_path / 'small.jpg').write_bytes(open_index(tmp_path / 'similar', 1).thumbnail(1))
    with Image.open(tmp_path / 'small.jpg') as image:
        assert (image.format, image.size) == ('JPEG', (40, 10))
        assert np.abs(np.array(image).astype(int) - RED).max() < 10


def test_the_newest_version_and_the_one_before_it_are_kept(model: str, tmp_path: Path) -> None:
    output = tmp_path / 'similar'
    (output / '.partial-1-0-7').mkdir(parents=True)  # of a killed run
    for count in (1, 2, 3):
        build(model, write_data_set(tmp_path / str(count), FIRST[:count]), output)
    assert sorted(os.listdir(output)) == ['2', '3']


def test_a_failed_run_publishes_nothing(model: str, tmp_path: Path) -> None:
    data, output = write_data_set(tmp_path / 'data', FIRST), tmp_path / 'similar'
    build(model, data, output)
    before = files(output / '1')
    grown = Path(write_data_set(tmp_path / 'grown', [*FIRST, Product(1, [PURPLE])]))
    shard = grown / 'train-00001-of-00002.tfrecord'
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match='must be an intact shard of products'):
        build(model, str(grown), output)
    assert os.listdir(output) == ['1']
    assert files(output / '1') == before


def test_a_damaged_index_or_model_is_named(model: str, tmp_path: Path) -> None:
    data, output = write_data_set(tmp_path / 'data', FIRST), tmp_path / 'similar'
    build(model, data, output)
    graph = output / '1' / 'embeddings.faiss'
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(UserError, match=r'embeddings\.faiss: must have the SHA-256 of digests'):
        build(model, data, output)
    with pytest.raises(UserError, match='must be the version folder of an exported model'):
        build(str(Path(model).parent), data, tmp_path / 'other')
    shutil.copytree(model, tmp_path / 'cut' / '1')
    variables = tmp_path / 'cut' / '1' / 'variables' / 'variables.data-00000-of-00001'
    variables.write_bytes(b'')
    with pytest.raises(UserError, match='--model must be a loadable model'):
        build(str(tmp_path / 'cut' / '1'), data, tmp_path / 'other')


def test_the_command_prints_what_it_did(model: str, tmp_path: Path) -> None:
    output = tmp_path / 'similar'
    first = write_data_set(tmp_path / 'first', FIRST)
    build(model, first, output)
    grown = write_data_set(tmp_path / 'grown', [*FIRST, Product(1, [PURPLE, CUT])])

    def run(data: str, *flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, '-m', 'serving.index', f'--model={model}'),
                *(f'--data={data}', f'--output={output}', *flags),
            ],
            cwd=ROOT, capture_output=True, text=True, timeout=600,
        )  # fmt: skip

    done = run(grown)
    assert done.returncode == 0, done.stderr  # on which libjpeg describes the damage itself
    kept, added, warning, wrote, took = done.stdout.splitlines()
    assert kept == 'kept       3 products of version 1'
    assert added == 'added      1 products with 1 pictures'
    assert warning == (
        'warning    1 undecodable pictures; 0 products without another one are not in the index'
    )
    assert wrote == f'wrote      {output}/2: 4 products, 3 numbers each, 0.0 MB'
    assert took.startswith('took       ')
    document = json.loads((output / '2' / 'index.json').read_text())
    assert (document['products'], document['dimensions'], document['left_out']) == (4, 3, 0)

    done = run(grown)  # up to date
    assert done.stdout.startswith(f'unchanged  {output}/2 has these 4 products and this model\n')
    done = run(grown, '--split=trian')
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == f"error: {grown}: the split must be one of train, got 'trian'\n"
