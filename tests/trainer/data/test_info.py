"""What a run remembers of its data set."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog import categories
from catalog.errors import UserError
from trainer.config import FusionConfig, LossConfig, ModelConfig, TrainConfig
from trainer.data import data_set
from trainer.data.info import data_info

MakeDataSet = Callable[..., str]

PICTURES = TrainConfig(batch_size=1, total_steps=1)


PRODUCTS = TrainConfig(
    batch_size=1, total_steps=1, model=ModelConfig(fusion=FusionConfig(name='mean'))
)


@pytest.fixture
def folder(make_data_set: MakeDataSet, tmp_path: Path) -> Path:
    return Path(make_data_set(tmp_path / 'data', counts=(30, 20), validation_counts=(6, 6)))


def test_data_without_labels_is_an_error(folder: Path) -> None:
    path = folder / 'manifest.json'
    manifest = json.loads(path.read_text())
    for name in ('records_per_class', 'pictures_per_class', 'products_per_class'):
        manifest['splits']['train'][name] = []
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match='no labels'):
        data_info(data_set.open_data_set(str(folder)), PICTURES)


@pytest.mark.parametrize('levels', ['summed', 'heads'])
def test_the_loss_of_a_tree_of_one_level_has_no_parents(folder: Path, levels: str) -> None:
    tree = categories.parse(b'id,level1\n1,A\n2,B\n', path='tree.csv')
    data = dataclasses.replace(data_set.open_data_set(str(folder)), categories=tree)
    loss = LossConfig(levels=levels)  # type: ignore[arg-type]
    message = f"loss.levels must be leaf for a category tree of one level, got '{levels}'; set"
    with pytest.raises(UserError, match=message):
        data_info(data, dataclasses.replace(PICTURES, loss=loss))
    assert data_info(data, PICTURES).num_classes == 2


def test_data_without_pictures_is_an_error(make_data_set: MakeDataSet, tmp_path: Path) -> None:
    data = data_set.open_data_set(make_data_set(tmp_path / 'data', counts=(0, 0)))
    with pytest.raises(UserError, match='the train split has none'):
        data_info(data, PICTURES)


def test_a_run_that_fuses_views_counts_products(folder: Path) -> None:
    data = data_set.open_data_set(str(folder))
    assert data_info(data, PRODUCTS).examples_per_class == (30, 20)
    assert data_info(data, PICTURES).examples_per_class != (30, 20)


def test_records_of_single_pictures_cannot_be_fused(
    make_data_set: MakeDataSet, tmp_path: Path
) -> None:
    data = data_set.open_data_set(make_data_set(tmp_path / 'data', kind='image'))
    with pytest.raises(UserError, match=r'model\.fusion mean needs one record per product'):
        data_info(data, PRODUCTS)
