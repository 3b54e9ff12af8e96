from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from catalog.errors import UserError
from trainer.config import GroupConfig, OptimizerConfig, ScheduleConfig
from trainer.config.files import load
from trainer.optim.optimizers import build_optimizer


def _updates(config: OptimizerConfig, *, steps: int) -> list[float]:
    weight = keras.Variable(1.0)
    optimizer = build_optimizer(config, total_steps=10)
    seen = []
    for _ in range(steps):
        optimizer.apply([tf.constant(1.0)], [weight])
        seen.append(float(weight.numpy()))
    return seen


def test_sgd_moves_by_rate_and_momentum() -> None:
    config = OptimizerConfig(name='sgd', learning_rate=0.1, momentum=0.5)
    assert _updates(config, steps=3) == pytest.approx([0.9, 0.75, 0.575])


def test_the_first_update_of_adam_is_the_learning_rate() -> None:
    found = _updates(OptimizerConfig(name='adam', learning_rate=0.1), steps=1)
    assert found == pytest.approx([0.9], abs=1e-5)


def test_the_optimizer_follows_the_schedule() -> None:
    config = OptimizerConfig(
        name='sgd', learning_rate=1.0, momentum=0.0, schedule=ScheduleConfig(warmup_steps=3)
    )
    assert _updates(config, steps=4) == pytest.approx([0.75, 0.25, -0.5, -1.5])


def test_adamw_decays_kernels_but_not_biases_nor_normalisation() -> None:
    model = keras.Sequential(
        [keras.Input([4]), keras.layers.Dense(3), keras.layers.BatchNormalization()]
    )
    model.layers[0].bias.assign(np.ones(3))
    before = [weight.numpy() for weight in model.trainable_variables]
    config = OptimizerConfig(name='adamw', learning_rate=0.1, weight_decay=0.5)
    optimizer = build_optimizer(config, total_steps=10)
    optimizer.apply([tf.zeros(w.shape) for w in before], model.trainable_variables)
    after = [weight.numpy() for weight in model.trainable_variables]
    np.testing.assert_allclose(after[0], before[0] * 0.95, rtol=1e-5)
    for unchanged in (1, 2, 3):
        np.testing.assert_array_equal(after[unchanged], before[unchanged])


def _nested() -> keras.Model:
    """A backbone of two layers, normalisation among them, and a head."""
    inner = keras.Input([4])
    x = keras.layers.Dense(4, name='low')(inner)
    x = keras.layers.BatchNormalization(name='norm')(x)
    x = keras.layers.Dense(4, name='high')(x)
    backbone = keras.Model(inner, x, name='backbone')
    image = keras.Input([4])
    return keras.Model(image, keras.layers.Dense(2, name='logits')(backbone(image)))


def _train(
    model: keras.Model, config: OptimizerConfig, *, steps: int
) -> list[dict[str, np.ndarray]]:
    """The weights of the dense layers after each step; compiled, with gradients of 1."""
    optimizer = build_optimizer(config, total_steps=10, model=model)
    optimizer.build(model.trainable_variables)
    step = tf.function(
        lambda: optimizer.apply([tf.ones(w.shape) for w in model.trainable_variables])
    )
    seen = []
    for _ in range(steps):
        step()
        layers = [*model.get_layer('backbone').layers, model.get_layer('logits')]
        seen.append(
            {layer.name: layer.kernel.numpy() for layer in layers if hasattr(layer, 'kernel')}
        )
    return seen


def test_groups_learn_at_their_own_pace_and_the_first_that_fits_has_the_weight() -> None:
    model = _nested()
    before = _train(model, OptimizerConfig(name='sgd', learning_rate=1e-9), steps=1)[0]
    config = OptimizerConfig(
        name='sgd',
        learning_rate=1.0,
        momentum=0.0,
        groups=(
            GroupConfig(pattern='^backbone/high/', rate=0.5),
            GroupConfig(pattern='^backbone/', rate=0.25),
        ),
    )
    after = _train(model, config, steps=1)[0]
    for name, rate in [('low', 0.25), ('high', 0.5), ('logits', 1.0)]:
        np.testing.assert_allclose(before[name] - after[name], rate, atol=1e-5)


def test_a_frozen_layer_is_not_computed_and_its_normalisation_rests() -> None:
    model = _nested()
    groups = (GroupConfig(pattern='^backbone/(low|norm)/', rate=0.0),)
    build_optimizer(OptimizerConfig(groups=groups), total_steps=10, model=model)
    trainable = {variable.path for variable in model.trainable_variables}
    assert trainable == {'high/kernel', 'high/bias', 'logits/kernel', 'logits/bias'}
    norm = model.get_layer('backbone').get_layer('norm')
    before = norm.moving_mean.numpy()
    model(tf.ones([3, 4]) * 9, training=True)
    np.testing.assert_array_equal(norm.moving_mean.numpy(), before)


def test_stages_unfreeze_at_their_steps() -> None:
    config = OptimizerConfig(
        groups=(
            GroupConfig(pattern='^backbone/high/', from_step=2),
            GroupConfig(pattern='^backbone/', from_step=4),
        )
    )
    seen = _train(_nested(), config, steps=6)
    moved = {
        name: [bool((seen[i][name] != seen[i + 1][name]).any()) for i in range(5)]
        for name in ('low', 'high', 'logits')
    }
    assert moved == {  # at the steps 1 to 5, from 0
        'low': [False, False, False, True, True],
        'high': [False, True, True, True, True],
        'logits': [True] * 5,
    }


def test_a_pattern_that_fits_nothing_is_refused_by_name() -> None:
    config = OptimizerConfig(groups=(GroupConfig(pattern='^bakcbone/'),))
    with pytest.raises(UserError, match=r"'\^bakcbone/' matches none of backbone/low/kernel, …"):
        build_optimizer(config, total_steps=10, model=_nested())
    with pytest.raises(ValueError, match='must be a regular expression'):
        GroupConfig(pattern='(')


def test_groups_are_set_on_the_command_line_as_json() -> None:
    tiny = str(Path(__file__).parents[3] / 'configs' / 'tiny.py')
    config = load(tiny, ['optimizer.groups=[{"pattern": "^logits/", "rate": 0.5}]'])
    assert config.optimizer.groups == (GroupConfig(pattern='^logits/', rate=0.5),)
    with pytest.raises(UserError, match=r'GroupConfig has pattern, rate, from_step'):
        load(tiny, ['optimizer.groups=[{"pattern": "x", "speed": 2}]'])


def test_nadam_and_lamb_are_kerass_own() -> None:
    for name, reference in [
        ('nadam', keras.optimizers.Nadam(0.1)),
        ('lamb', keras.optimizers.Lamb(0.1, weight_decay=0.01)),
    ]:
        found = _updates(OptimizerConfig(name=name, learning_rate=0.1, weight_decay=0.01), steps=4)
        weight, expected = keras.Variable(1.0), []
        for _ in range(4):
            reference.apply([tf.constant(1.0)], [weight])
            expected.append(float(weight.numpy()))
        assert found == pytest.approx(expected)
        assert found[-1] < 1


def test_nesterov_looks_ahead() -> None:
    config = OptimizerConfig(name='sgd', learning_rate=0.1, momentum=0.5, nesterov=True)
    assert _updates(config, steps=2) == pytest.approx([0.85, 0.675])


@pytest.mark.parametrize('name', ['sgd', 'adam', 'adamw', 'nadam', 'lamb'])
@pytest.mark.parametrize('groups', [(), (GroupConfig(pattern='^backbone/', rate=0.3),)])
def test_every_optimizer_goes_on_from_its_checkpoint_bit_for_bit(
    name: str, groups: tuple[GroupConfig, ...], tmp_path: Path
) -> None:
    config = OptimizerConfig(name=name, learning_rate=0.1, groups=groups)

    def build() -> tuple[keras.Model, keras.optimizers.Optimizer]:
        model = _nested()
        optimizer = build_optimizer(config, total_steps=10, model=model)
        optimizer.build(model.trainable_variables)
        return model, optimizer

    def step(model: keras.Model, optimizer: keras.optimizers.Optimizer, number: int) -> None:
        gradients = [tf.fill(w.shape, 0.1 * (number + 1)) for w in model.trainable_variables]
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    model, optimizer = build()
    for number in range(3):
        step(model, optimizer, number)
    path = tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(tmp_path / 'state'))
    other, resumed = build()
    tf.train.Checkpoint(model=other, optimizer=resumed).read(path).assert_consumed()
    for number in range(3, 6):
        step(model, optimizer, number)
        step(other, resumed, number)
    assert int(resumed.iterations) == 6
    for left, right in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(left.numpy(), right.numpy())
