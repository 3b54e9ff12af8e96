"""Metrics by level of the tree, against scikit-learn on the labels of the nodes."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from catalog import categories
from trainer.metrics import levels
from trainer.metrics.classification import MetricsAccumulator


def _tree(num_classes: int, *, seed: int) -> categories.Categories:
    """Leaves whose parents are scattered over the rows."""
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


def _level_metrics(
    tree: categories.Categories, labels: np.ndarray, probabilities: np.ndarray, *, batch: int
) -> tuple[levels.LevelMetrics, ...]:
    leaves = MetricsAccumulator(len(tree))
    above = [(level, MetricsAccumulator(level.num_nodes)) for level in levels.parent_levels(tree)]
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        for level, accumulator in above:
            nodes = level.predict_nodes(labels=labels[part], probabilities=probabilities[part])
            accumulator.update(**nodes)
        own = probabilities[part][np.arange(len(labels[part])), labels[part]]
        leaves.update(
            labels=labels[part],
            predicted=np.argsort(-probabilities[part], axis=1, kind='stable')[:, :5],
            label_log_probability=np.log(own.astype(np.float64)),
        )
    return levels.compute_level_metrics(leaves, above)


@pytest.mark.parametrize('batch', [9, 1000])
def test_metrics_of_each_level_are_those_of_scikit_learn(batch: int) -> None:
    tree = _tree(40, seed=3)
    labels, probabilities = _examples(num_classes=40)
    first = probabilities.argmax(axis=1)

    found = _level_metrics(tree, labels, probabilities, batch=batch)

    assert [level.level for level in found] == [1, 2, 3]
    for level, node_of in zip(found, [*tree.parents, np.arange(40)], strict=True):
        nodes = int(node_of.max()) + 1
        member = np.eye(nodes)[node_of]  # [C, nodes]
        summed = probabilities.astype(np.float64) @ member
        truth, by_sum = node_of[labels], summed.argmax(axis=1)
        every = np.arange(nodes)
        assert level.nodes == nodes
        assert level.accuracy_by_leaf == pytest.approx(
            oracle.accuracy_score(truth, node_of[first]), abs=1e-9
        )
        assert level.by_sum.accuracy == pytest.approx(
            oracle.accuracy_score(truth, by_sum), abs=1e-9
        )
        assert level.by_sum.macro_f1 == pytest.approx(
            oracle.f1_score(truth, by_sum, average='macro', zero_division=0), abs=1e-9
        )
        if nodes > 5:
            assert level.by_sum.top5_accuracy == pytest.approx(
                oracle.top_k_accuracy_score(truth, summed, k=5, labels=every), abs=1e-9
            )
        shares = summed / summed.sum(axis=1, keepdims=True)
        loss = -np.log(summed[np.arange(len(truth)), truth]).mean()
        assert level.by_sum.loss == pytest.approx(loss, abs=1e-9)
        assert loss == pytest.approx(oracle.log_loss(truth, shares, labels=every), abs=1e-6)


def test_the_likeliest_node_may_not_contain_the_likeliest_leaf() -> None:
    tree = categories.parse(
        b'category_id,category_level1,category_level2,category_level3\n1,A,A,1\n2,A,A,2\n3,B,B,3\n',
        path='names.csv',
    )
    probabilities = np.array([[0.3, 0.3, 0.4]], np.float32)
    found = _level_metrics(tree, np.array([0]), probabilities, batch=1)
    assert (found[0].accuracy_by_leaf, found[0].by_sum.accuracy) == (0, 1)


@pytest.mark.parametrize(
    ('text', 'accuracies'),
    [
        (b'id,level1\n1,A\n2,B\n3,C\n', [0]),
        (b'id,l1,l2,l3,l4,l5\n1,A,B,C,D,E\n2,A,B,C,D,F\n3,A,,,,\n', [1, 1, 1, 1, 0]),
        (b'id,l1,l2,l3\n1,A,,\n2,A,B,\n3,A,B,C\n', [1, 0, 0]),
    ],
)
def test_a_tree_has_metrics_for_each_of_its_levels(text: bytes, accuracies: list[float]) -> None:
    tree = categories.parse(text, path='tree.csv')
    probabilities = np.array([[0.1, 0.8, 0.1]], np.float32)
    found = _level_metrics(tree, np.array([0]), probabilities, batch=1)
    assert [level.level for level in found] == list(range(1, tree.levels + 1))
    assert [level.accuracy_by_leaf for level in found] == accuracies
