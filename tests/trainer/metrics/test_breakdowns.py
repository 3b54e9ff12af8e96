"""Figures by level of the tree and by size of class, against scikit-learn on the nodes' labels."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from catalog import categories
from trainer.metrics import breakdowns
from trainer.metrics import breakdowns as levels
from trainer.metrics import classification as metrics
from trainer.metrics.classification import Confusion


def _tree(num_classes: int, *, seed: int) -> categories.Categories:
    """Leaves whose parents lie scattered over the rows, not side by side."""
    random = np.random.default_rng(seed)
    parents = random.integers(0, 4, num_classes), random.integers(0, 3, num_classes)
    rows = [f'{i},ROOT {a},BRANCH {b},LEAF {i}' for i, (a, b) in enumerate(zip(*parents))]  # noqa: B905
    text = '\n'.join([','.join(categories.HEADER), *rows])
    return categories.parse(text.encode(), path='names.csv')


def _examples(*, num_classes: int, count: int = 600) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(8)
    labels = random.integers(0, num_classes, count)
    logits = random.normal(size=(count, num_classes))
    logits[np.arange(count), labels] += 1.5
    exponents = np.exp(logits)
    return labels, (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)


def _measured(
    tree: categories.Categories, labels: np.ndarray, probabilities: np.ndarray, *, batch: int
) -> tuple[levels.LevelMetrics, ...]:
    leaves = metrics.MetricsAccumulator(len(tree))
    above = [
        (level, metrics.MetricsAccumulator(level.nodes)) for level in levels.above_leaves(tree)
    ]
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        for level, tally in above:
            tally.update(**level.said(labels=labels[part], probabilities=probabilities[part]))
        own = probabilities[part][np.arange(len(labels[part])), labels[part]]
        leaves.update(
            labels=labels[part],
            predicted=np.argsort(-probabilities[part], axis=1, kind='stable')[:, :5],
            label_log_probability=np.log(own.astype(np.float64)),
        )
    return levels.figures(leaves, above)


@pytest.mark.parametrize('batch', [9, 1000])
def test_each_level_has_the_figures_of_scikit_learn(batch: int) -> None:
    tree = _tree(40, seed=3)
    labels, probabilities = _examples(num_classes=40)
    first = probabilities.argmax(axis=1)

    found = _measured(tree, labels, probabilities, batch=batch)

    assert [figures.level for figures in found] == [1, 2, 3]
    for figures, node_of in zip(found, [tree.level1, tree.level2, np.arange(40)], strict=True):
        nodes = int(node_of.max()) + 1
        member = np.eye(nodes)[node_of]  # [C, nodes]
        summed = probabilities.astype(np.float64) @ member
        truth, by_sum = node_of[labels], summed.argmax(axis=1)
        every = np.arange(nodes)
        assert figures.nodes == nodes
        assert figures.accuracy_by_leaf == pytest.approx(
            oracle.accuracy_score(truth, node_of[first]), abs=1e-9
        )
        assert figures.by_sum.accuracy == pytest.approx(
            oracle.accuracy_score(truth, by_sum), abs=1e-9
        )
        assert figures.by_sum.macro_f1 == pytest.approx(
            oracle.f1_score(truth, by_sum, average='macro', zero_division=0), abs=1e-9
        )
        if nodes > 5:
            assert figures.by_sum.top5_accuracy == pytest.approx(
                oracle.top_k_accuracy_score(truth, summed, k=5, labels=every), abs=1e-9
            )
        shares = summed / summed.sum(axis=1, keepdims=True)
        loss = -np.log(summed[np.arange(len(truth)), truth]).mean()
        assert figures.by_sum.loss == pytest.approx(loss, abs=1e-9)
        assert loss == pytest.approx(oracle.log_loss(truth, shares, labels=every), abs=1e-6)


def test_the_likeliest_node_need_not_hold_the_likeliest_leaf() -> None:
    tree = categories.parse(
        b'category_id,category_level1,category_level2,category_level3\n1,A,A,1\n2,A,A,2\n3,B,B,3\n',
        path='names.csv',
    )
    probabilities = np.array([[0.3, 0.3, 0.4]], np.float32)
    found = _measured(tree, np.array([0]), probabilities, batch=1)
    assert (found[0].accuracy_by_leaf, found[0].by_sum.accuracy) == (0, 1)


def test_thirds_part_the_classes_by_size() -> None:
    confusion = Confusion(
        label=np.array([0, 0, 1, 2, 3, 5]),
        predicted=np.array([0, 1, 1, 0, 3, 0]),
        count=np.array([90, 10, 40, 5, 2, 2]),
    )
    sizes = np.array([900.0, 400, 50, 20, 10, 20])  # class 4 is never measured

    many, medium, few = breakdowns.thirds(confusion, sizes)

    assert (many.name, many.classes, many.examples) == ('many', 2, 140)
    assert many.accuracy == pytest.approx(130 / 140)
    assert many.macro_recall == pytest.approx((0.9 + 1.0) / 2)
    assert (medium.examples, medium.accuracy) == (7, pytest.approx(2 / 7))  # labels 2 and 3
    assert medium.macro_recall == pytest.approx(0.5)
    assert (few.classes, few.measured, few.examples, few.accuracy) == (2, 1, 2, 0)


def test_thirds_of_thousands_of_classes_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    sizes = random.permutation(np.exp(random.normal(size=500) * 2))
    labels = random.choice(500, 4000, p=sizes / sizes.sum())
    guesses = np.where(random.random(4000) < 0.6, labels, random.integers(0, 500, 4000))
    tally = metrics.MetricsAccumulator(500)
    tally.update(
        labels=labels,
        predicted=np.repeat(guesses[:, None], 5, axis=1),
        label_log_probability=np.zeros(4000),
    )
    order = np.argsort(-sizes)
    parts = [order[:167], order[167:334], order[334:]]
    for third, part in zip(breakdowns.thirds(tally.confusion(), sizes), parts, strict=True):
        mine = np.isin(labels, part)
        present = np.intersect1d(part, labels)
        assert third.accuracy == pytest.approx(
            oracle.accuracy_score(labels[mine], guesses[mine]), abs=1e-9
        )
        recall = oracle.recall_score(labels, guesses, labels=present, average='macro')
        assert third.macro_recall == pytest.approx(recall, abs=1e-9)


def test_without_examples_there_are_thirds_all_the_same() -> None:
    nothing = Confusion(np.zeros(0, int), np.zeros(0, int), np.zeros(0, int))
    assert [third.examples for third in breakdowns.thirds(nothing, np.ones(7))] == [0, 0, 0]
