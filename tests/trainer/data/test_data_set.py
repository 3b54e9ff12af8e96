import json
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.errors import UserError
from trainer.config import FusionConfig, ModelConfig, TrainConfig
from trainer.data import data_set
from trainer.data.info import data_info
from trainer.workdir import run_files

MakeDataSet = Callable[..., str]

PICTURES = TrainConfig(batch_size=1, total_steps=1)
PRODUCTS = TrainConfig(
    batch_size=1, total_steps=1, model=ModelConfig(fusion=FusionConfig(name='mean'))
)


@pytest.fixture
def folder(make_data_set: MakeDataSet, tmp_path: Path) -> Path:
    return Path(
        make_data_set(tmp_path / 'data', counts=(30, 20), validation_counts=(6, 6), shards=9)
    )


def test_a_sound_data_set_opens_with_its_tree_and_counts(folder: Path) -> None:
    data = data_set.open_data_set(str(folder), verify='full')
    assert data.num_classes == 2
    assert data.categories.ids.tolist() == [1000, 1007]
    assert data.split('train').records_per_class == (30, 20)
    assert data.paths('train')[8] == f'{folder}/train-00008-of-00009.tfrecord'


def test_a_split_that_is_not_there_is_refused_with_those_that_are(folder: Path) -> None:
    data = data_set.open_data_set(str(folder))
    with pytest.raises(UserError, match=r"\['predict', 'train', 'validation'\], got 'tset'"):
        data.split('tset')


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _empty(path: Path) -> None:
    path.write_bytes(b'')


@pytest.mark.parametrize('damage', [_flip, _cut, _empty, Path.unlink])
@pytest.mark.parametrize(
    'file', ['train-00000-of-00009.tfrecord', 'validation-00008-of-00009.tfrecord']
)
def test_a_damaged_shard_is_named(folder: Path, file: str, damage: Callable[[Path], None]) -> None:
    damage(folder / file)
    with pytest.raises(UserError, match=file):
        data_set.open_data_set(str(folder))


def test_a_flipped_bit_in_any_shard_is_found_by_full_verification(folder: Path) -> None:
    for index in range(9):
        path = folder / f'train-{index:05d}-of-00009.tfrecord'
        sound = path.read_bytes()
        _flip(path)
        with pytest.raises(UserError, match=path.name):
            data_set.open_data_set(str(folder), verify='full')
        path.write_bytes(sound)
    data_set.open_data_set(str(folder), verify='full')


def test_a_shard_of_another_run_is_named_even_where_its_size_is_right(folder: Path) -> None:
    """Two shards of one size change places."""
    data = data_set.open_data_set(str(folder))
    manifest = json.loads((folder / 'manifest.json').read_text())
    first = folder / data.split('train').shards[0].file
    content = first.read_bytes()
    first.write_bytes(content[::-1])
    assert len(content) == manifest['splits']['train']['shards'][0]['bytes']
    with pytest.raises(UserError, match=first.name):
        data_set.open_data_set(str(folder))


def test_a_run_remembers_its_data(folder: Path, tmp_path: Path) -> None:
    data = data_set.open_data_set(str(folder))
    run_files.save_info(data_info(data, PICTURES), data, str(tmp_path / 'run'))
    info = run_files.restore_info(str(tmp_path / 'run'))
    assert info == data_info(data, PICTURES)
    assert (info.num_classes, sum(info.examples_per_class)) == (2, data.split('train').pictures)
    assert info.natural_prior == pytest.approx((36 / 62, 26 / 62))
    assert run_files.restore_categories(str(tmp_path / 'run')).names == data.categories.names


def test_data_without_labels_cannot_be_learned_from(folder: Path) -> None:
    path = folder / 'manifest.json'
    manifest = json.loads(path.read_text())
    for name in ('records_per_class', 'pictures_per_class', 'products_per_class'):
        manifest['splits']['train'][name] = []
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match='no labels'):
        data_info(data_set.open_data_set(str(folder)), PICTURES)


def test_data_without_pictures_cannot_be_learned_from(
    make_data_set: MakeDataSet, tmp_path: Path
) -> None:
    data = data_set.open_data_set(make_data_set(tmp_path / 'data', counts=(0, 0)))
    with pytest.raises(UserError, match='the train split has none'):
        data_info(data, PICTURES)


def test_a_run_that_fuses_views_remembers_how_many_records_it_learned_from(folder: Path) -> None:
    data = data_set.open_data_set(str(folder))
    assert data_info(data, PRODUCTS).examples_per_class == (30, 20)
    assert data_info(data, PICTURES).examples_per_class != (30, 20)


def test_records_of_single_pictures_cannot_be_fused(
    make_data_set: MakeDataSet, tmp_path: Path
) -> None:
    data = data_set.open_data_set(make_data_set(tmp_path / 'data', kind='image'))
    with pytest.raises(UserError, match=r'model\.fusion mean needs one record per product'):
        data_info(data, PRODUCTS)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'must have a data\.json, got none'):
        run_files.restore_info(str(tmp_path))
