"""The class mix of answers, compared with the natural prior."""

import numpy as np
import pytest

from serving.observation.drift import ClassMix, Prior

# Four categories; two parents at level 1.
PRIOR = Prior(np.array([0.4, 0.3, 0.2, 0.1]), (np.array([0, 0, 1, 1]), np.arange(4)))


def mix(labels: list[int], **options: int) -> ClassMix:
    found = ClassMix(PRIOR, **options)
    for label in labels:
        found.add(label)
    return found


def test_answers_as_the_prior_expects_have_no_distance() -> None:
    answers = mix([0] * 4 + [1] * 3 + [2] * 2 + [3])
    assert answers.drift(1).distance == pytest.approx(0)
    assert answers.drift(2).distance == pytest.approx(0)


def test_the_distance_is_the_share_of_answers_in_other_categories() -> None:
    answers = mix([0] * 5 + [3] * 5)  # 0.5, 0, 0, 0.5 of 0.4, 0.3, 0.2, 0.1
    assert answers.drift(2).distance == pytest.approx(0.5)
    assert answers.drift(1).distance == pytest.approx(0.2)  # 0.5, 0.5 of 0.7, 0.3


def test_the_expected_distance_is_that_of_draws_from_the_prior() -> None:
    count = 50
    draws = np.random.default_rng(0).multinomial(count, PRIOR.shares, 20_000) / count
    distances = np.abs(draws - PRIOR.shares).sum(axis=1) / 2
    expected = mix([0] * count).drift(2).expected
    assert expected == pytest.approx(distances.mean(), rel=0.02)


def test_the_expected_distance_of_rare_categories_is_exact() -> None:
    shares = np.full(1000, 1 / 1000)
    answers = ClassMix(Prior(shares, (np.arange(1000),)))
    for label in range(20):
        answers.add(label)
    draws = np.random.default_rng(0).multinomial(20, shares, 2000) / 20
    distances = np.abs(draws - shares).sum(axis=1) / 2
    assert answers.drift(1).expected == pytest.approx(distances.mean(), rel=0.01)


def test_only_the_latest_answers_and_those_of_the_tree_count() -> None:
    answers = mix([3] * 10 + [0] * 5 + [4, -1], window=5)
    assert len(answers) == 5
    assert answers.drift(2).distance == pytest.approx(0.6)


def test_without_answers_there_is_no_drift() -> None:
    assert mix([]).drift(1) == (0, 0)
