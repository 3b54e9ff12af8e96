"""Classification metrics against scikit-learn, and memory against the number of examples."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as oracle

from trainer.metrics import classification
from trainer.metrics.classification import Confusion, MetricsAccumulator


def _examples(*, count: int, num_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random labels and probabilities, half of the predictions right; some classes never occur."""
    random = np.random.default_rng(seed)
    labels = random.choice(num_classes - 2, count)  # the last two classes have no support
    logits = random.normal(size=(count, num_classes))
    logits[np.arange(count), labels] += 2
    logits[:, 0] -= 20  # never predicted
    logits[:, -1] -= 20  # never predicted, never a label: in no mean
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, probabilities


def _accumulate(labels: Any, probabilities: Any, *, batch: int) -> MetricsAccumulator:
    accumulator = MetricsAccumulator(probabilities.shape[1])
    predicted = np.argsort(-probabilities, axis=1, kind='stable')[:, :5]
    log_probability = np.log(probabilities[np.arange(len(labels)), labels])
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        accumulator.update(
            labels=labels[part],
            predicted=predicted[part],
            label_log_probability=log_probability[part],
        )
    return accumulator


@pytest.mark.parametrize('batch', [1, 7, 1000])
@pytest.mark.parametrize('num_classes', [6, 40, 300])
def test_metrics_are_those_of_scikit_learn(num_classes: int, batch: int) -> None:
    labels, probabilities = _examples(count=500, num_classes=num_classes, seed=num_classes)
    first = probabilities.argmax(axis=1)

    metrics = classification.compute_metrics(_accumulate(labels, probabilities, batch=batch))

    assert metrics.examples == 500
    assert metrics.accuracy == pytest.approx(oracle.accuracy_score(labels, first), abs=1e-9)
    every_class = np.arange(num_classes)
    top5 = oracle.top_k_accuracy_score(labels, probabilities, k=5, labels=every_class)
    assert metrics.top5_accuracy == pytest.approx(top5, abs=1e-9)
    loss = oracle.log_loss(labels, probabilities, labels=every_class)
    assert metrics.loss == pytest.approx(loss, abs=1e-9)
    for average in ('macro', 'weighted', 'micro'):
        expected = oracle.precision_recall_fscore_support(
            labels, first, average=average, zero_division=0
        )
        for name, value in zip(('precision', 'recall', 'f1'), expected, strict=False):
            assert getattr(metrics, f'{average}_{name}') == pytest.approx(value, abs=1e-9)
    matthews = oracle.matthews_corrcoef(labels, first)
    assert metrics.matthews == pytest.approx(matthews, abs=1e-9)
    assert metrics.kappa == pytest.approx(oracle.cohen_kappa_score(labels, first), abs=1e-9)


@pytest.mark.parametrize(
    ('labels', 'predicted'),
    [([0, 1, 2], [1, 1, 1]), ([1, 1, 1], [0, 1, 2]), ([0, 1], [1, 0])],
    ids=['one guess', 'one label', 'all wrong'],
)
def test_correlation_and_kappa_with_constant_labels_or_predictions(
    labels: list[int], predicted: list[int]
) -> None:
    accumulator = MetricsAccumulator(3)
    accumulator.update(
        labels=np.array(labels),
        predicted=np.repeat(np.array(predicted)[:, None], 3, axis=1),
        label_log_probability=np.zeros(len(labels)),
    )
    metrics = classification.compute_metrics(accumulator)
    assert metrics.matthews == pytest.approx(oracle.matthews_corrcoef(labels, predicted))
    assert metrics.kappa == pytest.approx(oracle.cohen_kappa_score(labels, predicted))


def test_class_metrics_and_matrix_are_those_of_scikit_learn() -> None:
    labels, probabilities = _examples(count=400, num_classes=12, seed=3)
    first = probabilities.argmax(axis=1)

    confusion = _accumulate(labels, probabilities, batch=64).confusion()
    classes = classification.compute_class_metrics(confusion)

    precision, recall, f1, support = oracle.precision_recall_fscore_support(
        labels, first, zero_division=0
    )
    np.testing.assert_array_equal(classes.label, np.union1d(labels, first))
    np.testing.assert_allclose(classes.precision, precision, atol=1e-9)
    np.testing.assert_allclose(classes.recall, recall, atol=1e-9)
    np.testing.assert_allclose(classes.f1, f1, atol=1e-9)
    np.testing.assert_array_equal(classes.support, support)
    np.testing.assert_array_equal(
        confusion.dense(12), oracle.confusion_matrix(labels, first, labels=np.arange(12))
    )


def test_the_most_confused_pairs_come_first_and_exclude_hits() -> None:
    confusion = Confusion(
        label=np.array([0, 0, 1, 1, 2]),
        predicted=np.array([0, 1, 0, 2, 1]),
        count=np.array([90, 3, 7, 3, 1]),
    )
    worst = classification.most_confused(confusion, limit=3)
    assert list(zip(worst.label, worst.predicted, worst.count, strict=True)) == [
        (1, 0, 7),
        (0, 1, 3),
        (1, 2, 3),
    ]


def test_metrics_of_no_examples_are_zero() -> None:
    metrics = classification.compute_metrics(MetricsAccumulator(7))
    assert (metrics.examples, metrics.accuracy, metrics.macro_f1, metrics.loss) == (0, 0, 0, 0)


def test_three_predictions_are_too_few_for_a_top_5_accuracy_of_seven_classes() -> None:
    with pytest.raises(ValueError, match='predicted must have 5 columns, got 3'):
        MetricsAccumulator(7).update(
            labels=np.zeros(1, int),
            predicted=np.zeros((1, 3), int),
            label_log_probability=np.zeros(1),
        )


def test_three_predictions_are_enough_where_there_are_three_classes() -> None:
    accumulator = MetricsAccumulator(3)
    accumulator.update(
        labels=np.array([2]),
        predicted=np.array([[0, 1, 2]]),
        label_log_probability=np.log([0.25]),
    )
    metrics = classification.compute_metrics(accumulator)
    assert (metrics.accuracy, metrics.top5_accuracy) == (0, 1)
    assert metrics.loss == pytest.approx(np.log(4))


def test_memory_does_not_grow_with_the_number_of_examples() -> None:
    """5,270 classes; a dense matrix alone would be 222 MB, an [N, C] array 4.2 GB."""
    random = np.random.default_rng(0)
    accumulator = MetricsAccumulator(5270)
    hard = random.integers(0, 5270, (2_000, 2))  # the pairs that occur

    def count(batches: int) -> None:
        for _ in range(batches):
            pairs = hard[random.integers(0, len(hard), 1_000)]
            predicted = np.repeat(pairs[:, 1:], 5, axis=1)
            accumulator.update(
                labels=pairs[:, 0], predicted=predicted, label_log_probability=np.zeros(1_000)
            )

    tracemalloc.start()
    try:
        count(20)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        count(180)
        classification.compute_metrics(accumulator)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert accumulator.examples == 200_000
    assert peak - before < 2 << 20  # 2 MiB
