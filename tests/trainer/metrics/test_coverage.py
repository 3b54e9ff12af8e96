"""What can be filed at an accuracy, and how sure the figures are."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from trainer.metrics import bootstrap, coverage
from trainer.metrics.prediction_table import Predictions


def test_the_surest_are_filed_down_to_where_too_many_are_wrong() -> None:
    confidence = np.array([0.5, 0.9, 0.8, 0.99, 0.6, 0.7])
    hit = np.array([False, True, False, True, True, True])
    found = coverage.curve(confidence, hit)
    np.testing.assert_allclose(found.threshold, [0.99, 0.9, 0.8, 0.7, 0.6, 0.5])
    np.testing.assert_allclose(found.accuracy, [1, 1, 2 / 3, 3 / 4, 4 / 5, 4 / 6])

    best = coverage.at(found, 0.75)  # down to 0.6, over the error at 0.8
    assert (best.threshold, best.share, best.accuracy) == pytest.approx((0.6, 5 / 6, 0.8))
    assert coverage.at(found, 1.0).share == pytest.approx(2 / 6)
    assert coverage.at(found, 0.5).share == 1


def test_equal_confidences_are_filed_together_or_not_at_all() -> None:
    confidence = np.array([0.9, 0.9, 0.9, 0.5])
    hit = np.array([True, True, False, True])
    found = coverage.curve(confidence, hit)
    assert len(found.share) == 2
    assert coverage.at(found, 0.9).share == 0
    assert coverage.at(found, 0.9).threshold > 1


def test_the_threshold_files_what_it_says() -> None:
    random = np.random.default_rng(0)
    confidence = random.random(5000).astype(np.float32)
    hit = random.random(5000) < confidence
    for target in (0.8, 0.9, 0.95):
        best = coverage.at(coverage.curve(confidence, hit), target)
        filed = confidence >= best.threshold
        assert filed.mean() == pytest.approx(best.share, abs=1e-12)
        assert hit[filed].mean() == pytest.approx(best.accuracy, abs=1e-12)
        for lower in np.unique(confidence[~filed])[::-7]:  # nothing lower would do
            assert hit[confidence >= lower].mean() < target


def test_weights_count_an_example_so_often() -> None:
    confidence = np.array([0.9, 0.8, 0.7])
    hit = np.array([True, False, True])
    weighted = coverage.curve(confidence, hit, np.array([2, 1, 0]))
    repeated = coverage.curve(np.array([0.9, 0.9, 0.8]), np.array([True, True, False]))
    np.testing.assert_allclose(weighted.share, repeated.share)
    np.testing.assert_allclose(weighted.accuracy, repeated.accuracy)


def test_a_curve_of_nothing_files_nothing() -> None:
    nothing = coverage.curve(np.zeros(0), np.zeros(0, bool))
    assert coverage.at(nothing, 0.9).share == 0
    assert len(coverage.thinned(nothing).share) == 0


def test_a_thinned_curve_keeps_its_ends() -> None:
    random = np.random.default_rng(0)
    full = coverage.curve(random.random(5000), random.random(5000) < 0.5)
    thin = coverage.thinned(full)
    assert len(thin.share) == coverage.CURVE_POINTS
    assert (thin.share[0], thin.share[-1]) == (full.share[0], 1.0)


def _products(count: int, *, seed: int = 0, classes: int = 6) -> Predictions:
    random = np.random.default_rng(seed)
    label = random.integers(0, classes, count)
    hit = random.random(count) < 0.8
    first = np.where(hit, label, (label + random.integers(1, classes, count)) % classes)
    others = (first[:, None] + random.integers(1, classes, (count, 4))) % classes
    confidence = np.repeat(random.random((count, 1)), 5, axis=1).astype(np.float32)
    return Predictions(
        product_id=np.arange(count),
        label=label,
        leaked=np.zeros(count, bool),
        pictures=np.ones(count, int),
        predicted=np.concatenate([first[:, None], others], axis=1),
        confidence=confidence,
        probability=confidence,
        label_log_probability=-random.exponential(size=count),
    )


def test_the_intervals_are_the_percentiles_of_figures_of_drawn_products() -> None:
    products = _products(300)
    random = np.random.default_rng(0)
    names = ('accuracy', 'top5_accuracy', 'macro_f1', 'matthews', 'loss')
    expected: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(50):
        drawn = random.integers(0, 300, 300)
        label, predicted = products.label[drawn], products.predicted[drawn, 0]
        expected['accuracy'].append(oracle.accuracy_score(label, predicted))
        expected['macro_f1'].append(oracle.f1_score(label, predicted, average='macro'))
        in_top5 = (products.predicted[drawn] == label[:, None]).any(axis=1)
        expected['top5_accuracy'].append(in_top5.mean())
        expected['matthews'].append(oracle.matthews_corrcoef(label, predicted))
        expected['loss'].append(-products.label_log_probability[drawn].mean())

    found = bootstrap.intervals(products, target=0.9, replicates=50)

    for name, values in expected.items():
        assert found[name] == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])), abs=1e-9)


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    """The true accuracy is 0.8; of 60 samples of products, 57 intervals should hold it."""
    held = 0
    for seed in range(60):
        low, high = bootstrap.intervals(_products(400, seed=seed), target=0.9, replicates=200)[
            'accuracy'
        ]
        held += low <= 0.8 <= high
    assert held >= 52


def test_the_same_products_have_the_same_intervals() -> None:
    first, second = (
        bootstrap.intervals(_products(100), target=0.95, replicates=20) for _ in range(2)
    )
    assert first == second
    assert {'top5_accuracy', 'weighted_f1', 'kappa', 'coverage'} < set(first)


def test_no_products_have_no_intervals() -> None:
    assert bootstrap.intervals(_products(0), target=0.95) == {}
