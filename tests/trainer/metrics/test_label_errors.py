"""Suspected label errors: the paper's counts, and planted errors that are found."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from trainer.metrics.label_errors import LabelErrors, find_label_errors


def _planted(
    *, count: int, num_classes: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of which a tenth is wrong, which ones, and probabilities that know the truth."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, num_classes, count)
    wrong = random.random(count) < 0.1
    label = np.where(wrong, (truth + random.integers(1, num_classes, count)) % num_classes, truth)
    logits = random.normal(size=(count, num_classes))
    logits[np.arange(count), truth] += 6
    exponents = np.exp(logits)
    return label, wrong, exponents / exponents.sum(axis=1, keepdims=True)


def _find(
    label: np.ndarray,
    probabilities: np.ndarray,
    *,
    k: int,
    kappa: float = 0.9,
) -> LabelErrors:
    order = np.argsort(-probabilities, axis=1, kind='stable')[:, :k]
    top = np.take_along_axis(probabilities, order, axis=1)
    return find_label_errors(
        label=label,
        own=probabilities[np.arange(len(label)), label],
        predicted=order,
        probability=top,
        kappa=kappa,
        num_classes=probabilities.shape[1],
    )


def _confident_joint(label: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The paper's equation 1, example by example."""
    classes = probabilities.shape[1]
    least = [probabilities[label == j, j].mean() for j in range(classes)]
    joint = np.zeros((classes, classes), int)
    for given, p in zip(label, probabilities, strict=True):
        confident = [j for j in range(classes) if p[j] >= least[j]]
        if confident:
            joint[given, max(confident, key=lambda j: p[j])] += 1
    return joint


@pytest.mark.parametrize('num_classes', [3, 10, 60])
def test_the_number_of_label_errors_is_the_off_diagonal_sum_of_the_confident_joint(
    num_classes: int,
) -> None:
    label, _, probabilities = _planted(count=1200, num_classes=num_classes, seed=num_classes)
    joint = _confident_joint(label, probabilities)
    found = _find(label, probabilities, k=num_classes)
    assert len(found) == joint.sum() - np.trace(joint)


def test_the_least_probable_labels_come_first_and_the_likeliest_class_is_suggested() -> None:
    label, _, probabilities = _planted(count=1200, num_classes=10, seed=0)
    found = _find(label, probabilities, k=10)
    own = probabilities[found.row, label[found.row]]
    assert (np.diff(own) >= 0).all()
    np.testing.assert_array_equal(found.suggested, probabilities[found.row].argmax(axis=1))
    assert (found.suggested != label[found.row]).all()
    left = np.setdiff1d(np.flatnonzero(probabilities.argmax(axis=1) != label), found.row)
    assert probabilities[left, label[left]].min() >= own.max()


@pytest.mark.parametrize('k', [5, 10])
def test_planted_errors_are_found(k: int) -> None:
    label, wrong, probabilities = _planted(count=4000, num_classes=10, seed=1)
    found = _find(label, probabilities, k=k)
    assert wrong[found.row].mean() > 0.9
    assert wrong[found.row].sum() / wrong.sum() > 0.9


def test_correct_labels_are_not_suspected() -> None:
    _, _, probabilities = _planted(count=2000, num_classes=10, seed=2)
    found = _find(probabilities.argmax(axis=1), probabilities, k=10)
    assert len(found) == 0


def test_a_class_without_products_is_never_suggested_by_confidence() -> None:
    probabilities = np.array([[0.2, 0.1, 0.7], [0.3, 0.6, 0.1], [0.8, 0.1, 0.1]])
    assert len(_find(np.array([0, 1, 0]), probabilities, k=3)) == 0


def test_no_products_have_no_label_errors() -> None:
    assert len(_find(np.zeros(0, int), np.zeros((0, 4)), k=4)) == 0


def test_a_model_that_has_not_learned_suspects_no_label() -> None:
    random = np.random.default_rng(3)
    label = random.integers(0, 10, 2000)
    exponents = np.exp(random.normal(size=(2000, 10)) * 4)  # sure of itself, and always by chance
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    kappa = cohen_kappa_score(label, probabilities.argmax(axis=1))
    assert abs(kappa) < 0.05
    found = _find(label, probabilities, k=10, kappa=kappa)
    assert (len(found), found.has_learned) == (0, False)
    assert len(_find(label, probabilities, k=10)) > 500  # without the floor


@pytest.mark.parametrize(('kappa', 'has_learned'), [(0.39, False), (0.4, True)])
def test_the_floor_is_a_kappa_of_two_fifths(kappa: float, has_learned: bool) -> None:
    label, _, probabilities = _planted(count=1200, num_classes=10, seed=0)
    found = _find(label, probabilities, k=10, kappa=kappa)
    assert found.has_learned is has_learned
    assert bool(len(found)) is has_learned
