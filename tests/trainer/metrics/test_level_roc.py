"""ROC curves by level of the tree, against scikit-learn on summed probabilities."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from catalog import categories
from trainer.metrics.level_roc import LevelRocAccumulator


def test_each_level_has_the_auc_of_its_summed_probabilities() -> None:
    rows = ['1,FRUIT,APPLE,RED', '2,FRUIT,APPLE,GREEN', '3,FRUIT,PEAR,PEAR', '4,MILK,MILK,MILK']
    text = '\n'.join([','.join(categories.HEADER), *rows])
    tree = categories.parse(text.encode(), path='names.csv')
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 3000)
    logits = random.normal(size=(3000, 4))
    logits[np.arange(3000), labels] += 1.5
    exponents = np.exp(logits)
    scores = (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)
    accumulator = LevelRocAccumulator(tree)
    for start in range(0, 3000, 700):
        part = slice(start, start + 700)
        accumulator.update(labels=labels[part], probabilities=scores[part])

    found = accumulator.compute()
    assert [roc.level for roc in found] == [1, 2, 3]
    for roc, nodes in zip(found, ([0, 0, 0, 1], [0, 0, 1, 2], [0, 1, 2, 3]), strict=True):
        node_of = np.array(nodes)
        expected = [
            oracle.roc_auc_score(node_of[labels] == node, scores[:, node_of == node].sum(axis=1))
            for node in sorted(set(nodes))
        ]
        assert roc.auc.macro == pytest.approx(np.mean(expected), abs=roc.auc.error + 1e-6)
        assert roc.auc.classes == len(expected)
    by_leaf = accumulator.compute_by_leaf()
    assert np.mean([auc for auc in by_leaf if auc is not None]) == pytest.approx(
        found[-1].auc.macro, abs=1e-12
    )
