import json
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.errors import UserError
from trainer.config import FusionConfig, ModelConfig, TrainConfig
from trainer.data import data_set

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


def test_an_intact_data_set_opens_with_its_tree_and_counts(folder: Path) -> None:
    data = data_set.open_data_set(str(folder), verify='full')
    assert data.num_classes == 2
    assert data.categories.ids.tolist() == [1000, 1007]
    assert data.split('train').records_per_class == (30, 20)
    assert data.paths('train')[8] == f'{folder}/train-00008-of-00009.tfrecord'


def test_an_unknown_split_is_an_error_that_lists_the_splits(folder: Path) -> None:
    data = data_set.open_data_set(str(folder))
    with pytest.raises(UserError, match="one of predict, train, validation, got 'tset'"):
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


def test_full_verification_finds_a_flipped_bit_in_any_shard(folder: Path) -> None:
    for index in range(9):
        path = folder / f'train-{index:05d}-of-00009.tfrecord'
        intact = path.read_bytes()
        _flip(path)
        with pytest.raises(UserError, match=path.name):
            data_set.open_data_set(str(folder), verify='full')
        path.write_bytes(intact)
    data_set.open_data_set(str(folder), verify='full')


def test_a_shard_with_the_right_size_but_other_content_is_named(folder: Path) -> None:
    data = data_set.open_data_set(str(folder))
    manifest = json.loads((folder / 'manifest.json').read_text())
    first = folder / data.split('train').shards[0].file
    content = first.read_bytes()
    first.write_bytes(content[::-1])
    assert len(content) == manifest['splits']['train']['shards'][0]['bytes']
    with pytest.raises(UserError, match=first.name):
        data_set.open_data_set(str(folder))


def test_unlabelled_data_are_an_error_in_one_line(folder: Path) -> None:
    document = json.loads((folder / 'manifest.json').read_text())
    for split in document['splits'].values():
        for name in ('records_per_class', 'pictures_per_class', 'products_per_class'):
            split[name] = []
    document['splits'] = {'predict': document['splits']['predict']}
    (folder / 'manifest.json').write_text(json.dumps({**document, 'categories': {}, 'priors': {}}))
    with pytest.raises(UserError, match='must be a data set with categories, got one that the'):
        data_set.open_data_set(str(folder))
