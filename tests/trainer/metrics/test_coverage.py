"""Coverage: the share of the examples that can be auto-classified at an accuracy."""

import numpy as np
import pytest

from trainer.metrics import coverage


def test_coverage_ends_where_too_many_are_wrong() -> None:
    confidence = np.array([0.5, 0.9, 0.8, 0.99, 0.6, 0.7])
    hit = np.array([False, True, False, True, True, True])
    curve = coverage.coverage_curve(confidence, hit)
    np.testing.assert_allclose(curve.threshold, [0.99, 0.9, 0.8, 0.7, 0.6, 0.5])
    np.testing.assert_allclose(curve.accuracy, [1, 1, 2 / 3, 3 / 4, 4 / 5, 4 / 6])

    best = coverage.coverage_at(curve, 0.75)  # down to 0.6, over the error at 0.8
    assert (best.threshold, best.share, best.accuracy) == pytest.approx((0.6, 5 / 6, 0.8))
    assert coverage.coverage_at(curve, 1.0).share == pytest.approx(2 / 6)
    assert coverage.coverage_at(curve, 0.5).share == 1


def test_equal_confidences_are_on_the_same_side_of_the_threshold() -> None:
    confidence = np.array([0.9, 0.9, 0.9, 0.5])
    hit = np.array([True, True, False, True])
    curve = coverage.coverage_curve(confidence, hit)
    assert len(curve.share) == 2
    assert coverage.coverage_at(curve, 0.9).share == 0
    assert coverage.coverage_at(curve, 0.9).threshold > 1


def test_the_threshold_gives_the_reported_share_and_accuracy() -> None:
    random = np.random.default_rng(0)
    confidence = random.random(5000).astype(np.float32)
    hit = random.random(5000) < confidence
    for target in (0.8, 0.9, 0.95):
        best = coverage.coverage_at(coverage.coverage_curve(confidence, hit), target)
        chosen = confidence >= best.threshold
        assert chosen.mean() == pytest.approx(best.share, abs=1e-12)
        assert hit[chosen].mean() == pytest.approx(best.accuracy, abs=1e-12)
        for lower in np.unique(confidence[~chosen])[::-7]:  # no lower threshold reaches the target
            assert hit[confidence >= lower].mean() < target


def test_an_empty_curve_has_no_coverage() -> None:
    nothing = coverage.coverage_curve(np.zeros(0), np.zeros(0, bool))
    assert coverage.coverage_at(nothing, 0.9).share == 0
    assert len(coverage.thin_curve(nothing).share) == 0


def test_a_thinned_curve_keeps_both_ends() -> None:
    random = np.random.default_rng(0)
    full = coverage.coverage_curve(random.random(5000), random.random(5000) < 0.5)
    thin = coverage.thin_curve(full)
    assert len(thin.share) == coverage.CURVE_POINTS
    assert (thin.share[0], thin.share[-1]) == (full.share[0], 1.0)
