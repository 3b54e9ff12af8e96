"""The objective of a run: prior rule, class weights by step, levels, mixed images."""

import numpy as np
import pytest
import tensorflow as tf

from catalog import categories
from trainer.config import LossConfig
from trainer.data.data_set import DataInfo
from trainer.losses import objective
from trainer.losses.objective import MixedLabels

# Leaves 0 and 1 have the parent B, leaf 2 has C; B and C are below A. Leaf 3 has its own parents.
TREE = categories.parse(
    b'category_id,category_level1,category_level2,category_level3\n'
    b'1,A,B,W\n2,A,B,X\n3,A,C,Y\n4,D,E,Z\n',
    path='category_names.csv',
)
PICTURES = np.array([5000, 3000, 1500, 500])
INFO = DataInfo('', 4, tuple(PICTURES), (0.6, 0.3, 0.08, 0.02))
LOGITS = np.random.default_rng(0).normal(size=(40, 4), scale=2.0)
LABELS = np.random.default_rng(1).integers(0, 4, 40)


def _build(**values: object) -> objective.Objective:
    return objective.build_objective(LossConfig(**values), info=INFO, tree=TREE)  # type: ignore[arg-type]


def _losses(
    goal: objective.Objective,
    *heads: np.ndarray,
    labels: MixedLabels | None = None,
    step: int = 0,
) -> np.ndarray:
    outputs = [tf.constant(values, tf.float32) for values in (LOGITS, *heads)]
    labels = labels or MixedLabels(tf.constant(LABELS))
    return goal.losses(outputs, labels, step=tf.constant(step, tf.int64)).numpy()


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return -np.log(p[range(len(labels)), labels])


def test_without_the_prior_rule_the_logits_are_not_shifted() -> None:
    expected = _cross_entropy(LOGITS, LABELS)
    np.testing.assert_allclose(_losses(_build(target_power=None)), expected, rtol=1e-5)


@pytest.mark.parametrize('name', ['cross_entropy', 'focal', 'generalized', 'ldam'])
def test_the_prior_rule_shifts_the_logits_of_every_loss(name: str) -> None:
    written, natural = PICTURES / 10_000, np.array(INFO.natural_prior)
    shifted = LOGITS + np.log(written / natural)
    plain = _build(name=name, target_power=None)
    outputs, labels = [tf.constant(shifted, tf.float32)], MixedLabels(tf.constant(LABELS))
    expected = plain.losses(outputs, labels, step=tf.constant(0, tf.int64))
    # Up to the smoothing by one pseudo example per class.
    np.testing.assert_allclose(_losses(_build(name=name)), expected, rtol=1e-2, atol=1e-3)


def test_without_the_prior_rule_class_weights_are_those_of_the_paper() -> None:
    beta = 0.999
    weights = (1 - beta) / (1 - beta**PICTURES)
    weights = weights / weights.sum() * 4
    found = _losses(_build(target_power=None, effective_beta=beta))
    np.testing.assert_allclose(found, weights[LABELS] * _cross_entropy(LOGITS, LABELS), rtol=2e-3)


def test_class_weights_apply_from_their_step_on() -> None:
    deferred = _build(target_power=None, effective_beta=0.999, reweight_from_step=10)
    at_once = _build(target_power=None, effective_beta=0.999)
    plain = _build(target_power=None)
    np.testing.assert_array_equal(_losses(deferred, step=9), _losses(plain))
    np.testing.assert_array_equal(_losses(deferred, step=10), _losses(at_once))


@pytest.mark.parametrize('beta', [0.0, 0.999])
@pytest.mark.parametrize('power', [0.0, 1.0])
def test_predictions_follow_the_target_prior_for_any_class_weights(
    beta: float, power: float
) -> None:
    """For images without information, the best constant logits are those of the target prior."""
    goal = _build(effective_beta=beta, target_power=power)
    logits = tf.Variable(tf.zeros([1, 4]))
    share = tf.constant(PICTURES / 10_000, tf.float32)

    @tf.function
    def descend() -> None:
        with tf.GradientTape() as tape:
            one_of_each = [tf.repeat(logits, 4, axis=0)]
            losses = goal.losses(
                one_of_each, MixedLabels(tf.range(4)), step=tf.constant(0, tf.int64)
            )
            mean = tf.reduce_sum(share * losses)
        logits.assign_sub(tape.gradient(mean, logits))

    for _ in range(800):
        descend()
    expected = np.array(INFO.natural_prior) if power else np.full(4, 0.25)
    np.testing.assert_allclose(tf.nn.softmax(logits)[0], expected, atol=0.005)


def test_summed_levels_add_the_cross_entropies_of_the_parents() -> None:
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    level2 = np.stack([p[:, 0] + p[:, 1], p[:, 2], p[:, 3]], axis=1)
    level1 = np.stack([p[:, 0] + p[:, 1] + p[:, 2], p[:, 3]], axis=1)
    nodes = np.array([[0, 0], [0, 0], [0, 1], [1, 2]])[LABELS]
    rows = range(40)
    expected = -np.log(p[rows, LABELS])
    expected -= np.log(level1[rows, nodes[:, 0]]) + np.log(level2[rows, nodes[:, 1]])
    found = _losses(_build(target_power=None, levels='summed'))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_level_heads_are_shifted_by_the_priors_of_their_nodes() -> None:
    rng = np.random.default_rng(2)
    level1, level2 = rng.normal(size=(40, 2)), rng.normal(size=(40, 3))
    nodes = np.array([[0, 0], [0, 0], [0, 1], [1, 2]])[LABELS]
    written, natural = PICTURES / 10_000, np.array(INFO.natural_prior)
    shifts = [np.log([x[:3].sum() / y[:3].sum(), x[3] / y[3]]) for x, y in [(written, natural)]] + [
        np.log([x[:2].sum() / y[:2].sum(), x[2] / y[2], x[3] / y[3]])
        for x, y in [(written, natural)]
    ]
    expected = (
        _cross_entropy(LOGITS + np.log(written / natural), LABELS)
        + _cross_entropy(level1 + shifts[0], nodes[:, 0])
        + _cross_entropy(level2 + shifts[1], nodes[:, 1])
    )
    found = _losses(_build(levels='heads'), level1, level2)
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize('name', ['cross_entropy', 'focal', 'generalized', 'ldam'])
def test_the_loss_of_a_mixed_image_weights_both_labels_by_their_shares(name: str) -> None:
    goal = _build(name=name, effective_beta=0.99, levels='summed')
    others = tf.constant(np.roll(LABELS, 1))
    share = tf.constant(np.random.default_rng(3).uniform(size=40), tf.float32)
    expected = share * _losses(goal) + (1 - share) * _losses(goal, labels=MixedLabels(others))
    found = _losses(goal, labels=MixedLabels(tf.constant(LABELS), others, share))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_hit_is_the_dominant_label_under_the_shifted_logits() -> None:
    goal, step = _build(target_power=0.0), tf.constant(0, tf.int64)
    # The shift towards the shards' prior makes class 0 win: 0.5 + log(5000 / 500).
    logits = tf.constant([[0.0, -9, -9, 0.5]] * 3)
    own, partner = (tf.constant(values, tf.int64) for values in ([0, 3, 3], [3, 0, 0]))
    labels = MixedLabels(own, partner, tf.constant([0.9, 0.4, 0.6]))
    assert goal.hits(logits, labels, step=step).numpy().tolist() == [True, True, False]


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'name': 'focal', 'label_smoothing': 0.1}, 'label_smoothing must be 0 for focal'),
        ({'name': 'generalized', 'label_smoothing': 0.1}, 'must be 0 for generalized, got 0.1'),
        ({'reweight_from_step': 5}, 'reweight_from_step must be 0 if loss.effective_beta is 0'),
    ],
)
def test_contradictory_values_are_rejected(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossConfig(**values)


def test_the_loss_has_a_term_for_each_level_of_a_deeper_tree() -> None:
    tree = categories.parse(
        b'id,level1,level2,level3,level4,level5\n1,A,B,V,W,X\n2,A,B,V,W,Y\n3,A,C,,,\n4,D,E,F,G,H\n',
        path='tree.csv',
    )
    config = LossConfig(target_power=None, levels='summed')
    goal = objective.build_objective(config, info=INFO, tree=tree)
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    expected = _cross_entropy(LOGITS, LABELS)
    for nodes in ([0, 0, 0, 1], *[[0, 0, 1, 2]] * 3):
        of_node = p @ np.eye(max(nodes) + 1)[nodes]
        expected -= np.log(of_node[range(len(LABELS)), np.array(nodes)[LABELS]])
    np.testing.assert_allclose(_losses(goal), expected, rtol=1e-4)


def test_a_tree_of_one_level_has_the_loss_of_the_leaves() -> None:
    tree = categories.parse(b'id,level1\n1,A\n2,B\n3,C\n4,D\n', path='tree.csv')
    goal = objective.build_objective(LossConfig(target_power=None), info=INFO, tree=tree)
    np.testing.assert_allclose(_losses(goal), _cross_entropy(LOGITS, LABELS), rtol=1e-5)
