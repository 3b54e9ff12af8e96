"""Metrics of many-, medium- and few-shot classes, against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from trainer.metrics import shots
from trainer.metrics.classification import Confusion, MetricsAccumulator


def test_classes_are_grouped_by_size() -> None:
    confusion = Confusion(
        label=np.array([0, 0, 1, 2, 3, 5]),
        predicted=np.array([0, 1, 1, 0, 3, 0]),
        count=np.array([90, 10, 40, 5, 2, 2]),
    )
    sizes = np.array([900.0, 400, 50, 20, 10, 20])  # class 4 is never measured

    many, medium, few = shots.compute_shot_metrics(confusion, sizes)

    assert (many.name, many.classes, many.examples) == ('many', 2, 140)
    assert many.accuracy == pytest.approx(130 / 140)
    assert many.macro_recall == pytest.approx((0.9 + 1.0) / 2)
    assert (medium.examples, medium.accuracy) == (7, pytest.approx(2 / 7))  # labels 2 and 3
    assert medium.macro_recall == pytest.approx(0.5)
    assert (few.classes, few.measured, few.examples, few.accuracy) == (2, 1, 2, 0)


def test_metrics_of_hundreds_of_classes_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    sizes = random.permutation(np.exp(random.normal(size=500) * 2))
    labels = random.choice(500, 4000, p=sizes / sizes.sum())
    guesses = np.where(random.random(4000) < 0.6, labels, random.integers(0, 500, 4000))
    accumulator = MetricsAccumulator(500)
    accumulator.update(
        labels=labels,
        predicted=np.repeat(guesses[:, None], 5, axis=1),
        label_log_probability=np.zeros(4000),
    )
    order = np.argsort(-sizes)
    parts = [order[:167], order[167:334], order[334:]]
    for shot, part in zip(
        shots.compute_shot_metrics(accumulator.confusion(), sizes), parts, strict=True
    ):
        own = np.isin(labels, part)
        present = np.intersect1d(part, labels)
        assert shot.accuracy == pytest.approx(
            oracle.accuracy_score(labels[own], guesses[own]), abs=1e-9
        )
        recall = oracle.recall_score(labels, guesses, labels=present, average='macro')
        assert shot.macro_recall == pytest.approx(recall, abs=1e-9)


def test_without_examples_every_group_is_empty() -> None:
    nothing = Confusion(np.zeros(0, int), np.zeros(0, int), np.zeros(0, int))
    assert [shot.examples for shot in shots.compute_shot_metrics(nothing, np.ones(7))] == [0, 0, 0]
