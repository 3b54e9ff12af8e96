"""One-vs-rest AUC: exact against scikit-learn's, bounded where it is binned, flat in memory."""

import tracemalloc

import numpy as np
import pytest
from sklearn import metrics as oracle

from trainer.metrics.roc_auc import RocAuc, RocAucAccumulator


def _examples(*, count: int, num_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(num_classes), random.choice(num_classes, count)])
    logits = random.normal(size=(len(labels), num_classes)) * 2
    logits[np.arange(len(labels)), labels] += 1.5
    logits = logits.round(1)  # so that equals are frequent
    exponents = np.exp(logits)
    return labels, (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)


def _tally(labels: np.ndarray, scores: np.ndarray, *, batch: int, **options: int) -> RocAuc:
    with RocAucAccumulator(scores.shape[1], examples=len(labels), **options) as tally:
        for start in range(0, len(labels), batch):
            part = slice(start, start + batch)
            tally.update(labels=labels[part], probabilities=scores[part])
        return tally.figures()


def _expected(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    each = [
        oracle.roc_auc_score(labels == label, scores[:, label]) for label in range(scores.shape[1])
    ]
    support = np.bincount(labels, minlength=scores.shape[1])
    return float(np.mean(each)), float(np.average(each, weights=support))


@pytest.mark.parametrize('batch', [7, 128, 10_000])
@pytest.mark.parametrize('num_classes', [2, 9, 130])
def test_it_is_that_of_scikit_learn_equals_and_all(num_classes: int, batch: int) -> None:
    labels, scores = _examples(count=800, num_classes=num_classes, seed=num_classes)
    found = _tally(labels, scores, batch=batch)
    macro, weighted = _expected(labels, scores)
    assert found.macro == pytest.approx(macro, abs=1e-9)
    assert found.weighted == pytest.approx(weighted, abs=1e-9)
    assert (found.classes, found.error) == (num_classes, 0)


def test_scikit_learns_own_ovr_mean_is_the_same() -> None:
    labels, scores = _examples(count=300, num_classes=6, seed=1)
    scores = scores.astype(np.float64)
    scores /= scores.sum(axis=1, keepdims=True)
    single = scores.astype(np.float32)
    found = _tally(labels, single, batch=50)
    # Its check of the sum is on float64; the ranks are those of float32.
    for average in ('macro', 'weighted'):
        expected = oracle.roc_auc_score(labels, scores, multi_class='ovr', average=average)
        assert getattr(found, average) == pytest.approx(expected, abs=1e-4)


def test_more_rows_than_a_tile_come_back_whole() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 150_000)  # a tile has 65,536 rows at the most
    scores = random.random((len(labels), 3), np.float32)
    scores[np.arange(len(labels)), labels] += 0.1
    found = _tally(labels, np.minimum(scores, 1), batch=40_000)
    macro, _ = _expected(labels, np.minimum(scores, 1))
    assert found.macro == pytest.approx(macro, abs=1e-9)


def test_without_room_for_all_scores_the_exact_figure_lies_within_the_error() -> None:
    labels, scores = _examples(count=5000, num_classes=12, seed=4)
    found = _tally(labels, scores, batch=500, budget_bytes=100_000)
    macro, weighted = _expected(labels, scores)
    assert 0 < found.error < 0.01
    assert abs(found.macro - macro) <= found.error
    assert abs(found.weighted - weighted) <= found.error


def test_classes_without_examples_are_in_no_mean() -> None:
    labels = np.array([0, 0, 1, 1])
    scores = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1], [0.1, 0.8, 0.1]])
    found = _tally(labels, scores.astype(np.float32), batch=4)
    # 0: 0.6 and 0.2 over 0.3 and 0.1: 3 of 4 pairs. 1: 0.6 and 0.8 over 0.3 and 0.7: 3 of 4.
    assert found == RocAuc(macro=0.75, weighted=0.75, classes=2, error=0.0)


def test_of_nothing_and_of_one_class_there_is_no_figure() -> None:
    nothing = RocAuc(0.0, 0.0, 0, 0.0)
    assert _tally(np.zeros(0, int), np.zeros((0, 3), np.float32), batch=1) == nothing
    assert _tally(np.zeros(4, int), np.full((4, 3), 0.3, np.float32), batch=4) == nothing


@pytest.mark.parametrize('budget_bytes', [1 << 30, 1 << 20], ids=['exact', 'binned'])
def test_memory_does_not_grow_with_the_number_of_examples(budget_bytes: int) -> None:
    """5,270 classes: 128 examples are 2.7 MB of probabilities; 60 batches of them 162 MB."""
    random = np.random.default_rng(0)
    scores = random.random((128, 5270), np.float32)
    labels = random.integers(0, 5270, 128)

    with RocAucAccumulator(5270, examples=7680, budget_bytes=budget_bytes) as tally:
        tracemalloc.start()
        try:
            for _ in range(30):
                tally.update(labels=labels, probabilities=scores)
            before, peak_before = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            for _ in range(30):
                tally.update(labels=labels, probabilities=scores)
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert tally.exact == (budget_bytes == 1 << 30)
    assert after - before < 1 << 20  # 1 MiB
    assert peak - peak_before < 1 << 20
