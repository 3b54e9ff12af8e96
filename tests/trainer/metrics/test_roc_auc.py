"""Binned one-vs-rest ROC AUC: scikit-learn's within the reported error, in bounded memory."""

import tracemalloc

import numpy as np
import pytest
from sklearn import metrics as oracle

from trainer.metrics.roc_auc import RocAuc, RocAucAccumulator


def _examples(
    *, count: int, num_classes: int, seed: int, spread: float = 2, gain: float = 1.5
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and softmax outputs; `spread` of the logits, `gain` of the label's."""
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(num_classes), random.choice(num_classes, count)])
    logits = random.normal(size=(len(labels), num_classes)) * spread
    logits[np.arange(len(labels)), labels] += gain
    return labels, _softmax(logits)


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)


def _accumulate(labels: np.ndarray, scores: np.ndarray, *, batch: int) -> RocAuc:
    accumulator = RocAucAccumulator(scores.shape[1])
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        accumulator.update(labels=labels[part], probabilities=scores[part])
    return accumulator.compute()


def _expected(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    each = [
        oracle.roc_auc_score(labels == label, scores[:, label]) for label in range(scores.shape[1])
    ]
    support = np.bincount(labels, minlength=scores.shape[1])
    return float(np.mean(each)), float(np.average(each, weights=support))


def _assert_within_error(found: RocAuc, labels: np.ndarray, scores: np.ndarray) -> None:
    macro, weighted = _expected(labels, scores)
    assert found.classes == scores.shape[1]
    assert abs(found.macro - macro) <= found.error + 1e-12
    assert abs(found.weighted - weighted) <= found.error + 1e-12


@pytest.mark.parametrize('batch', [7, 128, 10_000])
@pytest.mark.parametrize('num_classes', [2, 9, 130])
def test_auc_is_that_of_scikit_learn_within_the_error(num_classes: int, batch: int) -> None:
    labels, scores = _examples(count=800, num_classes=num_classes, seed=num_classes)
    found = _accumulate(labels, scores, batch=batch)
    _assert_within_error(found, labels, scores)
    assert found.error < 2e-3


def test_auc_of_many_examples_is_off_by_less_than_1e_5() -> None:
    labels, scores = _examples(count=20_000, num_classes=30, seed=4, gain=6)
    found = _accumulate(labels, scores, batch=1000)
    macro, weighted = _expected(labels, scores)
    assert found.macro == pytest.approx(macro, abs=1e-5)
    assert found.weighted == pytest.approx(weighted, abs=1e-5)
    assert found.error < 2e-4


def test_auc_of_probabilities_crowded_near_0_and_1_is_as_exact() -> None:
    """Most are below 1e-9 or above 1 - 1e-6: bins of equal width would tie them all."""
    labels, scores = _examples(count=5000, num_classes=12, seed=5, spread=14, gain=35)
    assert ((scores < 1e-9) | (scores > 1 - 1e-6)).mean() > 0.6
    found = _accumulate(labels, scores, batch=500)
    _assert_within_error(found, labels, scores)
    assert found.error < 5e-4
    equal_width = np.minimum((scores * 4800).astype(int), 4799)
    assert abs(_expected(labels, equal_width)[0] - _expected(labels, scores)[0]) > 10 * found.error


def test_neighbouring_floats_near_1_have_bins_of_their_own() -> None:
    steps = np.random.default_rng(6).integers(0, 30, 4000)
    labels = (np.random.default_rng(7).random(4000) * 30 > steps).astype(int)
    near_one = np.float32(1) - steps.astype(np.float32) * np.float32(2**-24)
    scores = np.stack([1 - near_one, near_one], axis=1)
    found = _accumulate(labels, scores, batch=1000)
    macro, _ = _expected(labels, scores)
    assert found.macro == pytest.approx(macro, abs=1e-12)


def test_the_error_is_honest_where_all_probabilities_are_nearly_equal() -> None:
    labels, scores = _examples(count=2000, num_classes=10, seed=8, spread=0.01, gain=0.02)
    found = _accumulate(labels, scores, batch=500)
    _assert_within_error(found, labels, scores)
    assert found.error > 0.01


def test_ties_count_half() -> None:
    labels = np.array([0, 0, 1, 1])
    scores = np.full((4, 2), 0.5, np.float32)
    assert _accumulate(labels, scores, batch=4).macro == 0.5


def test_scikit_learns_own_ovr_mean_is_the_same() -> None:
    labels, scores = _examples(count=300, num_classes=6, seed=1)
    scores = scores.astype(np.float64)
    scores /= scores.sum(axis=1, keepdims=True)
    found = _accumulate(labels, scores.astype(np.float32), batch=50)
    for average in ('macro', 'weighted'):
        expected = oracle.roc_auc_score(labels, scores, multi_class='ovr', average=average)
        assert getattr(found, average) == pytest.approx(expected, abs=found.error + 1e-6)


def test_classes_without_examples_are_in_no_mean() -> None:
    labels = np.array([0, 0, 1, 1])
    scores = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1], [0.1, 0.8, 0.1]])
    found = _accumulate(labels, scores.astype(np.float32), batch=4)
    # 0: 0.6 and 0.2 over 0.3 and 0.1: 3 of 4 pairs. 1: 0.6 and 0.8 over 0.3 and 0.7: 3 of 4.
    assert found == RocAuc(macro=0.75, weighted=0.75, classes=2, error=0.0)


def test_no_examples_and_a_single_class_have_no_auc() -> None:
    nothing = RocAuc(0.0, 0.0, 0, 0.0)
    assert _accumulate(np.zeros(0, int), np.zeros((0, 3), np.float32), batch=1) == nothing
    assert _accumulate(np.zeros(4, int), np.full((4, 3), 0.3, np.float32), batch=4) == nothing


def test_memory_does_not_grow_with_the_number_of_examples() -> None:
    """5,270 classes: 128 examples are 2.7 MB of probabilities; 60 batches of them 162 MB."""
    random = np.random.default_rng(0)
    scores = random.random((128, 5270), np.float32)
    labels = random.integers(0, 5270, 128)
    accumulator = RocAucAccumulator(5270)
    tracemalloc.start()
    try:
        for _ in range(30):
            accumulator.update(labels=labels, probabilities=scores)
        before, peak_before = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(30):
            accumulator.update(labels=labels, probabilities=scores)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1 << 20  # 1 MiB
    assert peak - peak_before < 1 << 20


def _accumulator(labels: np.ndarray, scores: np.ndarray) -> RocAucAccumulator:
    accumulator = RocAucAccumulator(scores.shape[1])
    accumulator.update(labels=labels, probabilities=scores)
    return accumulator


def test_the_curve_is_the_mean_of_scikit_learns_curves() -> None:
    labels, scores = _examples(count=3000, num_classes=5, seed=9)
    curve = _accumulator(labels, scores).compute_curve()
    grid = curve.false_positive_rate
    assert (grid[0], grid[-1]) == (0, 1)
    assert (np.diff(grid) > 0).all()
    expected = []
    for label in range(5):
        rates = oracle.roc_curve(labels == label, scores[:, label], drop_intermediate=False)
        expected.append(np.interp(grid, rates[0], rates[1]))
    np.testing.assert_allclose(curve.true_positive_rate, np.mean(expected, axis=0), atol=0.01)


def test_the_curve_of_perfect_scores_is_1_and_that_of_equal_scores_the_diagonal() -> None:
    labels = np.array([0, 1, 0, 1])
    perfect = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.1, 0.9]], np.float32)
    assert (_accumulator(labels, perfect).compute_curve().true_positive_rate == 1).all()
    flat = _accumulator(labels, np.full((4, 2), 0.5, np.float32)).compute_curve()
    np.testing.assert_allclose(flat.true_positive_rate, flat.false_positive_rate, atol=1e-12)


def test_the_auc_of_each_class_is_that_of_scikit_learn() -> None:
    labels, scores = _examples(count=2000, num_classes=6, seed=10)
    labels[labels == 4] = 3  # a class that does not occur
    found = _accumulator(labels, scores).compute_by_class()
    assert np.isnan(found[4])
    for label in (0, 1, 2, 3, 5):
        expected = oracle.roc_auc_score(labels == label, scores[:, label])
        assert found[label] == pytest.approx(expected, abs=2e-3)


def test_no_examples_have_no_curve() -> None:
    curve = RocAucAccumulator(3).compute_curve()
    assert len(curve.false_positive_rate) == len(curve.true_positive_rate) == 0
