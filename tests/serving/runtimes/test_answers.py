"""Answers from probabilities, as the exported graph gives them."""

import numpy as np

from catalog import categories
from serving.runtimes.answers import Answers

# Leaves 0 and 1 share a level-2 node, leaf 2 is in the same level-1 node, leaf 3 in another.
TREE = categories.parse(
    b'category_id,category_level1,category_level2,category_level3\n'
    b'71,HAUT,AB,UN\n72,HAUT,AB,DEUX\n9,HAUT,C,TROIS\n5,BAS,C,QUATRE\n',
    path='names.csv',
)
RAGGED = categories.parse(
    b'id,level1,level2,level3,level4,level5\nX-1,A,B,C,D,E\nX-2,A,B,C,D,F\nX-3,A,B,,,\n',
    path='tree.csv',
)


def _answers(tree: categories.Categories, **options: float) -> Answers:
    return Answers(tree, **{'top_k': 2, 'level_threshold': 0.5, **options})


def test_the_most_probable_categories_come_first_with_their_names() -> None:
    probabilities = np.array([[0.1, 0.0, 0.2, 0.7], [1, 0, 0, 0]], np.float32)
    found = _answers(TREE).top(probabilities)
    assert found['label'].tolist() == [[3, 2], [0, 1]]  # of equal ones, the lower label is first
    assert found['category_id'].tolist() == [[5, 9], [71, 72]]
    assert found['level3'].tolist() == [[b'QUATRE', b'TROIS'], [b'UN', b'DEUX']]
    assert found['confidence'].dtype == np.float32
    assert sorted(found) == ['category_id', 'confidence', 'label', 'level1', 'level2', 'level3']


def test_of_equal_probabilities_the_lower_label_is_first() -> None:
    found = _answers(TREE, top_k=3).top(np.full((1, 4), 0.25, np.float32))
    assert found['label'].tolist() == [[0, 1, 2]]


def test_the_level_is_the_deepest_one_above_the_threshold() -> None:
    probabilities = np.array(
        [
            [0.60, 0.20, 0.10, 0.10],  # the leaf
            [0.40, 0.30, 0.20, 0.10],  # 0.7 with its sibling
            [0.30, 0.15, 0.28, 0.27],  # 0.73 under HAUT only
            [0.23, 0.23, 0.00, 0.54],  # BAS, which has only this leaf
        ],
        np.float32,
    )
    assert _answers(TREE).deepest_level(probabilities).tolist() == [3, 2, 1, 3]
    strict = _answers(TREE, level_threshold=0.75)
    assert strict.deepest_level(probabilities).tolist() == [2, 1, 0, 0]


def test_a_short_path_has_empty_names_and_codes_are_an_output() -> None:
    probabilities = np.array([[0.0, 0.2, 0.8], [0.6, 0.4, 0.0], [0.4, 0.3, 0.3]], np.float32)
    answers = _answers(RAGGED)
    found = answers.top(probabilities)
    assert found['level5'][0].tolist() == [b'', b'F']
    assert found['category_code'][0].tolist() == [b'X-3', b'X-2']
    assert answers.deepest_level(probabilities).tolist() == [2, 5, 4]
