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


def test_sgd_updates_by_rate_and_momentum() -> None:
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


@pytest.mark.parametrize('name', ['sgd', 'adam', 'adamw', 'nadam', 'lamb'])
def test_weight_decay_excludes_biases_and_normalization(name: str) -> None:
    model = keras.Sequential(
        [keras.Input([4]), keras.layers.Dense(3), keras.layers.BatchNormalization()]
    )
    model.layers[0].bias.assign(np.ones(3))
    before = [weight.numpy() for weight in model.trainable_variables]
    config = OptimizerConfig(name=name, learning_rate=0.1, weight_decay=0.5)
    optimizer = build_optimizer(config, total_steps=10)
    optimizer.apply([tf.zeros(w.shape) for w in before], model.trainable_variables)
    after = [weight.numpy() for weight in model.trainable_variables]
    np.testing.assert_allclose(after[0], before[0] * 0.95, rtol=1e-5)
    for unchanged in (1, 2, 3):
        np.testing.assert_array_equal(after[unchanged], before[unchanged])


def _nested() -> keras.Model:
    """Builds a backbone with two dense layers and batch norm, and a head."""
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
    """Returns the dense kernels after each step; compiled, with gradients of 1."""
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


def test_groups_have_their_own_rates_and_the_first_match_counts() -> None:
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


def test_a_frozen_layer_has_no_gradients_and_keeps_its_moving_statistics() -> None:
    model = _nested()
    groups = (GroupConfig(pattern='^backbone/(low|norm)/', rate=0.0),)
    build_optimizer(OptimizerConfig(groups=groups), total_steps=10, model=model)
    trainable = {variable.path for variable in model.trainable_variables}
    assert trainable == {'high/kernel', 'high/bias', 'logits/kernel', 'logits/bias'}
    norm = model.get_layer('backbone').get_layer('norm')
    before = norm.moving_mean.numpy()
    model(tf.ones([3, 4]) * 9, training=True)
    np.testing.assert_array_equal(norm.moving_mean.numpy(), before)


def test_groups_start_at_their_steps() -> None:
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


def test_a_pattern_that_matches_nothing_is_rejected_by_name() -> None:
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


def test_nadam_and_lamb_equal_those_of_keras() -> None:
    for name, reference in [
        ('nadam', keras.optimizers.Nadam(0.1, weight_decay=0.01)),
        ('lamb', keras.optimizers.Lamb(0.1, weight_decay=0.01)),
    ]:
        found = _updates(OptimizerConfig(name=name, learning_rate=0.1, weight_decay=0.01), steps=4)
        weight, expected = keras.Variable(1.0), []
        for _ in range(4):
            reference.apply([tf.constant(1.0)], [weight])
            expected.append(float(weight.numpy()))
        assert found == pytest.approx(expected)
        assert found[-1] < 1


def _first_step(name: str, w: np.ndarray, g: np.ndarray, *, rate: float) -> np.ndarray:
    """Computes the first update, which is subtracted, by the formulas of the papers."""
    first, second, epsilon = 0.9, 0.999, 1e-7
    mean, square = (1 - first) * g, (1 - second) * g**2
    adam = mean / (1 - first) / (np.sqrt(square / (1 - second)) + epsilon)
    match name:
        case 'sgd':
            return rate * g
        case 'nadam':  # Dozat, 2016, with the momentum schedule of its appendix
            now, then = (first * (1 - 0.5 * 0.96**t) for t in (1, 2))
            corrected = then * mean / (1 - now * then) + (1 - now) * g / (1 - now)
            return rate * corrected / (np.sqrt(square / (1 - second)) + epsilon)
        case 'lamb':  # You et al., 2020: scaled to the norm of the weight
            return rate * adam * np.linalg.norm(w) / np.linalg.norm(adam)
        case _:
            return rate * adam


@pytest.mark.parametrize('name', ['sgd', 'adam', 'adamw', 'nadam', 'lamb'])
@pytest.mark.parametrize('grouped', [False, True])
def test_a_step_decays_weights_by_the_rate_of_their_group(name: str, grouped: bool) -> None:
    rate, decay, rng = 0.1, 0.2, np.random.default_rng(3)
    model = _nested()
    groups = (GroupConfig(pattern='^backbone/', rate=0.3),) if grouped else ()
    config = OptimizerConfig(name=name, learning_rate=rate, weight_decay=decay, groups=groups)
    optimizer = build_optimizer(config, total_steps=10, model=model)
    variables = model.trainable_variables
    for variable in variables:
        variable.assign(rng.normal(size=variable.shape))
    before = [variable.numpy() for variable in variables]
    gradients = [rng.normal(size=value.shape).astype(np.float32) for value in before]
    optimizer.apply([tf.constant(gradient) for gradient in gradients], variables)
    for variable, w, g in zip(variables, before, gradients, strict=True):
        own_rate = rate * (0.3 if grouped and not variable.path.startswith('logits/') else 1.0)
        decayed = w * (1 - own_rate * decay) if variable.name == 'kernel' else w
        expected = decayed - _first_step(name, decayed, g, rate=own_rate)
        np.testing.assert_allclose(variable, expected, rtol=2e-3, atol=1e-5, err_msg=variable.path)


@pytest.mark.parametrize(
    ('name', 'decay'),
    [('sgd', 0.0), ('adam', 0.0), ('nadam', 0.0), ('adamw', 1e-4), ('lamb', 1e-4)],
)
def test_weight_decay_defaults_to_that_of_the_optimizer(name: str, decay: float) -> None:
    config = OptimizerConfig(name=name)
    assert (config.weight_decay, config.effective_weight_decay) == (None, decay)
    assert (build_optimizer(config, total_steps=1).weight_decay or 0.0) == decay
    assert OptimizerConfig(name=name, weight_decay=0.3).effective_weight_decay == 0.3


def test_nesterov_looks_ahead() -> None:
    config = OptimizerConfig(name='sgd', learning_rate=0.1, momentum=0.5, nesterov=True)
    assert _updates(config, steps=2) == pytest.approx([0.85, 0.675])


@pytest.mark.parametrize('name', ['sgd', 'adam', 'adamw', 'nadam', 'lamb'])
@pytest.mark.parametrize('groups', [(), (GroupConfig(pattern='^backbone/', rate=0.3),)])
def test_every_optimizer_resumes_from_its_checkpoint_bit_for_bit(
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
