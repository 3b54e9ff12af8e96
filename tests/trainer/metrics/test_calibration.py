"""Calibration: the error against its definition, the temperature against a general minimizer."""

import numpy as np
import pytest
from scipy import optimize, special
from sklearn import calibration as oracle
from sklearn import metrics

from trainer.metrics import calibration
from trainer.metrics.calibration import ReliabilityAccumulator


def _overconfident(
    *, count: int, num_classes: int, temperature: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Logits that would be calibrated if they were divided by the temperature; labels drawn so."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, num_classes)) * 2
    truth = special.softmax(logits, axis=1)
    labels = (random.random((count, 1)) > np.cumsum(truth, axis=1)).sum(axis=1)
    return logits * temperature, np.minimum(labels, num_classes - 1)


def _reliability(confidence: np.ndarray, hit: np.ndarray, *, batch: int) -> calibration.Reliability:
    accumulator = ReliabilityAccumulator()
    for start in range(0, len(hit), batch):
        part = slice(start, start + batch)
        accumulator.update(confidence=confidence[part], hit=hit[part])
    return accumulator.compute()


@pytest.mark.parametrize('batch', [1, 64, 5000])
def test_the_expected_calibration_error_is_the_papers_sum(batch: int) -> None:
    random = np.random.default_rng(2)
    confidence = random.random(2000) ** 0.3
    hit = random.random(2000) < confidence * 0.8
    expected = largest = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            gap = abs(hit[inside].mean() - confidence[inside].mean())
            expected += inside.sum() / 2000 * gap
            largest = max(largest, gap)

    found = _reliability(confidence, hit, batch=batch)

    assert found.ece == pytest.approx(expected, abs=1e-12)
    assert found.mce == pytest.approx(largest, abs=1e-12)


def test_the_bins_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(3)
    confidence = random.random(3000)
    hit = random.random(3000) < confidence**2
    found = _reliability(confidence, hit, batch=100)
    accuracy, mean = oracle.calibration_curve(hit, confidence, n_bins=15)
    some = found.count > 0
    np.testing.assert_allclose(found.accuracy[some], accuracy, atol=1e-9)
    np.testing.assert_allclose(found.confidence[some], mean, atol=1e-9)


def test_bins_include_their_upper_edge_and_may_all_be_empty() -> None:
    found = _reliability(np.array([0.0, 1 / 15, 1.0]), np.array([False, True, True]), batch=3)
    assert found.count.tolist() == [2, *[0] * 13, 1]
    nothing = ReliabilityAccumulator().compute()
    assert (nothing.ece, nothing.mce, nothing.count.sum()) == (0, 0, 0)


@pytest.mark.parametrize('num_classes', [2, 10, 300])
@pytest.mark.parametrize('temperature', [0.4, 1.0, 2.5])
def test_the_temperature_minimizes_the_log_loss(temperature: float, num_classes: int) -> None:
    logits, labels = _overconfident(
        count=1500, num_classes=num_classes, temperature=temperature, seed=num_classes
    )
    probabilities = special.softmax(logits, axis=1)

    def loss(log_temperature: float) -> float:
        shares = special.softmax(logits / np.exp(log_temperature), axis=1)
        return metrics.log_loss(labels, shares, labels=np.arange(num_classes))

    best = optimize.minimize_scalar(loss, bounds=(-3, 3), method='bounded', options={'xatol': 1e-9})

    found = calibration.fit_temperature(probabilities, labels)

    assert found == pytest.approx(np.exp(best.x), rel=1e-4)
    assert found == pytest.approx(temperature, rel=0.15)


def test_applying_a_temperature_divides_the_logits() -> None:
    logits, _ = _overconfident(count=50, num_classes=7, temperature=1, seed=5)
    found = calibration.apply_temperature(special.softmax(logits, axis=1), temperature=1.7)
    np.testing.assert_allclose(found, special.softmax(logits / 1.7, axis=1), atol=1e-6)
    assert (found.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_a_temperature_lowers_the_calibration_error() -> None:
    logits, labels = _overconfident(count=4000, num_classes=10, temperature=3, seed=6)
    raw = special.softmax(logits, axis=1)
    scaled = calibration.apply_temperature(
        raw, temperature=calibration.fit_temperature(raw, labels)
    )
    before, after = (
        _reliability(p.max(axis=1), p.argmax(axis=1) == labels, batch=500) for p in (raw, scaled)
    )
    assert before.ece > 0.1
    assert after.ece < 0.03


def test_the_temperature_is_finite_if_all_are_right_or_all_wrong() -> None:
    sure = np.array([[0.9, 0.1], [0.8, 0.2]])
    sharpest = calibration.fit_temperature(sure, np.array([0, 0]))
    assert sharpest == pytest.approx(0.25)  # the lower limit
    assert calibration.fit_temperature(sure, np.array([1, 1])) == pytest.approx(10)
    assert calibration.fit_temperature(np.zeros((0, 2)), np.zeros(0, int)) == 1
    certain = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])  # one of them wrong
    assert 0.25 <= calibration.fit_temperature(certain, np.array([0, 1, 1])) <= 10
