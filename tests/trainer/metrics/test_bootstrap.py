"""Bootstrap intervals against direct resampling of products."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as oracle

from trainer.metrics import bootstrap, coverage
from trainer.metrics.prediction_table import Predictions


def _products(count: int, *, seed: int = 0, classes: int = 6) -> Predictions:
    random = np.random.default_rng(seed)
    label = random.integers(0, classes, count)
    sureness = random.random(count)
    hit = random.random(count) < 0.6 + 0.4 * sureness  # 0.8 on average
    first = np.where(hit, label, (label + random.integers(1, classes, count)) % classes)
    others = (first[:, None] + random.integers(1, classes, (count, 4))) % classes
    confidence = np.repeat(sureness[:, None], 5, axis=1).astype(np.float32)
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


def _resampled(products: Predictions, drawn: np.ndarray, *, target: float) -> dict[str, float]:
    """The metrics of some products, by scikit-learn."""
    label, predicted = products.label[drawn], products.predicted[drawn, 0]
    curve = coverage.coverage_curve(products.confidence[drawn, 0], products.hit[drawn])
    return {
        'accuracy': oracle.accuracy_score(label, predicted),
        'macro_f1': oracle.f1_score(label, predicted, average='macro', zero_division=0),
        'weighted_f1': oracle.f1_score(label, predicted, average='weighted', zero_division=0),
        'matthews': oracle.matthews_corrcoef(label, predicted),
        'kappa': oracle.cohen_kappa_score(label, predicted),
        'top5_accuracy': (products.predicted[drawn] == label[:, None]).any(axis=1).mean(),
        'loss': -products.label_log_probability[drawn].mean(),
        'coverage': coverage.coverage_at(curve, target).share,
    }


@pytest.mark.parametrize(
    ('classes', 'runs'),
    [(6, 4096), (40, 64)],
    ids=['frequent cells, a cell a product', 'rare cells, products share cells'],
)
def test_intervals_are_those_of_products_drawn_one_by_one(
    classes: int, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ends differ by their statistical error: about 2.7 / sqrt(replicates) standard deviations."""
    products = _products(700, classes=classes)
    random = np.random.default_rng(1)
    drawn = [_resampled(products, random.integers(0, 700, 700), target=0.85) for _ in range(600)]
    monkeypatch.setattr(bootstrap, 'MAX_RUNS', runs)

    found = bootstrap.confidence_intervals(products, target=0.85, replicates=4000)

    assert set(found) == set(drawn[0])
    for name, (low, high) in found.items():
        values = np.array([one[name] for one in drawn])
        expected = np.percentile(values, [2.5, 97.5])
        resolution = 1 / runs if name == 'coverage' else 0
        tolerance = 0.45 * values.std() + resolution
        assert (low, high) == pytest.approx(tuple(expected), abs=tolerance), name


def test_equal_products_have_intervals_of_no_width() -> None:
    products = _products(100)
    equal = replace(
        products,
        label=np.full(100, 2),
        predicted=np.tile([2, 1, 0, 3, 4], (100, 1)),
        confidence=np.full((100, 5), 0.7, np.float32),
        label_log_probability=np.full(100, -0.25),
    )
    found = bootstrap.confidence_intervals(equal, target=0.95, replicates=20)
    assert found['accuracy'] == found['macro_f1'] == found['coverage'] == (1, 1)
    assert found['loss'] == pytest.approx((0.25, 0.25))


def test_an_interval_contains_the_truth_as_often_as_promised() -> None:
    """The true accuracy is 0.8; of 60 samples of products, 57 intervals should contain it."""
    contained = 0
    for seed in range(60):
        found = bootstrap.confidence_intervals(
            _products(400, seed=seed), target=0.9, replicates=200
        )
        low, high = found['accuracy']
        contained += low <= 0.8 <= high
    assert contained >= 52


def test_the_same_products_have_the_same_intervals() -> None:
    first, second = (
        bootstrap.confidence_intervals(_products(100), target=0.95, replicates=20) for _ in range(2)
    )
    assert first == second


def test_no_products_have_no_intervals() -> None:
    assert bootstrap.confidence_intervals(_products(0), target=0.95) == {}
