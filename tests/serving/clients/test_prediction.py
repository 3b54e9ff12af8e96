"""Predictions parsed from a model's outputs."""

from typing import Any

import pytest

from catalog.errors import UserError
from serving.clients.prediction import parse_outputs
from serving.clients.request import Request

OUTPUTS: dict[str, Any] = {
    'label': [[4, 2]],
    'category_id': [[1000004141, 1000004085]],
    'confidence': [[0.75, 0.25]],
    'level1': [['JARDIN', 'ÉPICERIE']],
    'level2': [['OUTIL', 'VIN']],
    'level3': [['BÊCHE', 'VIN, ROUGE']],
}


def build_request(count: int, signature: str = 'serving_default') -> Request:
    paths = tuple(f'{number}.jpg' for number in range(count))
    return Request(paths=paths, pictures=(b'x',) * count, signature=signature)


def test_each_image_has_its_categories_in_order() -> None:
    (prediction,) = parse_outputs(OUTPUTS, build_request(1))
    assert [category.label for category in prediction.categories] == [4, 2]
    assert prediction.to_text() == (
        '0.jpg\n'
        '  1.  75.0%  JARDIN > OUTIL > BÊCHE  (category 1000004141)\n'
        '  2.  25.0%  ÉPICERIE > VIN > VIN, ROUGE  (category 1000004085)'
    )


def test_a_product_has_one_prediction_with_a_level() -> None:
    (prediction,) = parse_outputs({**OUTPUTS, 'level': [2]}, build_request(2, 'product'))
    assert prediction.level == 2
    assert prediction.to_text().startswith('0.jpg, 1.jpg: confident down to level 2\n')


def test_a_prediction_has_the_levels_of_the_models_tree() -> None:
    outputs = {'level4': [['PELLE', '']], 'level5': [['', '']], 'category_code': [['C-4', 'C-2']]}
    (prediction,) = parse_outputs(OUTPUTS | outputs, build_request(1))
    assert prediction.to_text().endswith(
        '  1.  75.0%  JARDIN > OUTIL > BÊCHE > PELLE  (category C-4)\n'
        '  2.  25.0%  ÉPICERIE > VIN > VIN, ROUGE  (category C-2)'
    )
    assert prediction.to_json()['predictions'][0] == {
        'label': 4,
        'category_id': 1000004141,
        'confidence': 0.75,
        'level1': 'JARDIN',
        'level2': 'OUTIL',
        'level3': 'BÊCHE',
        'level4': 'PELLE',
        'level5': '',
        'category_code': 'C-4',
    }


def test_a_tree_of_one_level_has_one_name() -> None:
    outputs = {name: OUTPUTS[name] for name in ('label', 'category_id', 'confidence', 'level1')}
    (prediction,) = parse_outputs(outputs, build_request(1))
    assert prediction.to_text().splitlines()[1] == '  1.  75.0%  JARDIN  (category 1000004141)'


@pytest.mark.parametrize(
    ('count', 'changes'),
    [
        (2, {}),
        (1, {'level1': None}),
        (1, {'level2': None}),
        (1, {'label': 4}),
        (1, {'label': [4]}),
        (1, {'label': [[4]]}),
    ],
)
def test_outputs_of_another_model_are_a_user_error(count: int, changes: dict[str, Any]) -> None:
    outputs = {name: value for name, value in (OUTPUTS | changes).items() if value is not None}
    with pytest.raises(UserError, match=f'must return {count} rows of'):
        parse_outputs(outputs, build_request(count))
