"""Predictions parsed from a model's outputs."""

from typing import Any

import numpy as np
import pytest

from serving.clients import Code, ServingError
from serving.clients.prediction import parse_outputs


def text(*names: str) -> Any:
    return np.array([names], object)


OUTPUTS: dict[str, Any] = {
    'label': np.array([[4, 2]]),
    'category_id': np.array([[1000004141, 1000004085]]),
    'confidence': np.array([[0.75, 0.25]], np.float32),
    'level1': text('JARDIN', 'ÉPICERIE'),
    'level2': text('OUTIL', 'VIN'),
    'level3': text('BÊCHE', 'VIN, ROUGE'),
}


def test_each_image_has_its_categories_in_order() -> None:
    (prediction,) = parse_outputs(OUTPUTS, count=1)
    assert [category.label for category in prediction.categories] == [4, 2]
    assert prediction.categories[1].path == 'ÉPICERIE > VIN > VIN, ROUGE'
    assert prediction.level is None


def test_a_product_has_one_prediction_with_a_level() -> None:
    outputs = {**OUTPUTS, 'level': np.array([2])}
    (prediction,) = parse_outputs(outputs, count=1, of_products=True)
    assert prediction.level == 2


def test_a_prediction_has_the_levels_of_the_models_tree() -> None:
    outputs = {'level4': text('PELLE', ''), 'level5': text('', ''), 'category_code': text('A', 'B')}
    (prediction,) = parse_outputs(OUTPUTS | outputs, count=1)
    first = prediction.categories[0]
    assert first.levels == ('JARDIN', 'OUTIL', 'BÊCHE', 'PELLE', '')
    assert (first.path, first.code) == ('JARDIN > OUTIL > BÊCHE > PELLE', 'A')


def test_a_tree_of_one_level_has_one_name() -> None:
    outputs = {name: OUTPUTS[name] for name in ('label', 'category_id', 'confidence', 'level1')}
    (prediction,) = parse_outputs(outputs, count=1)
    assert prediction.categories[0].levels == ('JARDIN',)


@pytest.mark.parametrize(
    ('count', 'changes'),
    [
        (2, {}),
        (1, {'level1': None}),
        (1, {'level2': None}),
        (1, {'level3': text('BÊCHE')}),
        (1, {'level3': np.array([[1, 2]])}),
        (1, {'label': np.array(4)}),
        (1, {'label': np.array([4])}),
        (1, {'label': np.array([[4]])}),
        (1, {'label': np.array([[4.5, 2]])}),
        (1, {'confidence': np.array([[1, 0]])}),
    ],
)
def test_outputs_of_another_model_are_an_error(count: int, changes: dict[str, Any]) -> None:
    outputs = {name: value for name, value in (OUTPUTS | changes).items() if value is not None}
    with pytest.raises(ServingError, match=f'must return {count} rows of') as caught:
        parse_outputs(outputs, count=count)
    assert caught.value.code is Code.INTERNAL


@pytest.mark.parametrize('level', [None, np.array([1, 2]), np.array([0.5])])
def test_a_product_without_a_level_is_an_error(level: Any) -> None:
    outputs = OUTPUTS if level is None else OUTPUTS | {'level': level}
    with pytest.raises(ServingError, match="'level3', 'level'"):
        parse_outputs(outputs, count=1, of_products=True)
