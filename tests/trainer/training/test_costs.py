"""Operations compared with papers, and memory compared with Keras."""

import math

import keras
import pytest

from trainer.config import InputConfig, ModelConfig, OptimizerConfig, StepConfig, TrainConfig
from trainer.data.data_set import DataSet, open_data_set
from trainer.models.model import build_model, sketch
from trainer.training import costs


def _layer_costs(name: str, side: int, *, classes: int = 1000) -> list[costs.LayerCost]:
    config = ModelConfig(name=name)
    return costs.layer_costs(sketch(config, num_classes=classes, input_shape=(side, side, 3)))


@pytest.mark.parametrize(
    ('name', 'side', 'multiply_adds'),
    [
        ('resnet50', 224, 3.8e9),  # He et al., 2015, arXiv:1512.03385, table 1
        ('mobilenet_v2', 224, 300e6),  # Sandler et al., 2018, arXiv:1801.04381, table 4
        ('xception', 299, 8.4e9),  # Tan and Le, 2019, arXiv:1905.11946, table 2
    ],
)
def test_a_multiply_add_of_the_paper_counts_as_two_operations(
    name: str, side: int, multiply_adds: float
) -> None:
    operations = sum(layer.operations for layer in _layer_costs(name, side))
    assert operations == pytest.approx(2 * multiply_adds, rel=0.03)


def test_the_costs_of_a_layer_equal_those_computed_by_hand() -> None:
    first, *_, last = _layer_costs('small_cnn', 32, classes=10)
    assert (first.output, first.parameters) == ((32, 32, 32), 9 * 3 * 32)
    assert (first.operations, first.activations) == (2 * 9 * 3 * 32 * 1024, 32 * 1024)
    assert (last.name, last.parameters, last.operations) == ('logits', 128 * 10 + 10, 2 * 128 * 10)


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


def _memory(data: DataSet, **changes: object) -> costs.Memory:
    config = TrainConfig(
        **{'batch_size': 64, 'total_steps': 1, 'input': InputConfig(height=28, width=28), **changes}  # type: ignore[arg-type]
    )
    return costs.estimate_memory(config, data, _layer_costs('small_cnn', 28, classes=4))


def test_the_memory_of_the_weights_is_that_of_keras(data: DataSet) -> None:
    model = build_model(ModelConfig(), num_classes=4, input_shape=(28, 28, 3))
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    variables = [*model.weights, *model.trainable_weights, *optimizer.variables]
    expected_bytes = sum(4 * math.prod(variable.shape) for variable in variables)
    assert _memory(data).weights == pytest.approx(expected_bytes, rel=0.02)
    sgd = OptimizerConfig(name='sgd', momentum=0.9)
    averaged = _memory(data, optimizer=sgd, step=StepConfig(ema_decay=0.9))
    assert averaged.weights == _memory(data).weights


def test_memory_decreases_with_devices_accumulation_and_precision(data: DataSet) -> None:
    all_activations = _memory(data).activations
    assert _memory(data, num_devices=2).activations == all_activations // 2
    assert _memory(data, step=StepConfig(accumulate=4)).activations == all_activations // 4
    assert _memory(data, step=StepConfig(precision='bfloat16')).activations == all_activations // 2


def test_cached_pictures_count_as_host_memory(data: DataSet) -> None:
    pixels = data.split('train').pictures * 28 * 28 * 3
    cached = InputConfig(height=28, width=28, cache=True)
    assert _memory(data, input=cached).input > pixels
