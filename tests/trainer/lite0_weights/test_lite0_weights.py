"""The ImageNet weights of EfficientNet-Lite0, against the network in plain numpy."""

from pathlib import Path

import keras
import matplotlib as mpl
import numpy as np
import pytest
import tensorflow as tf

from catalog.errors import UserError
from trainer.config import ModelConfig
from trainer.data import preprocess
from trainer.lite0_weights import convert, pth
from trainer.models.model import build_model

MILITARY_UNIFORM = 652  # of ImageNet's 1,000 classes
SIZE = 224


@pytest.fixture(scope='module')
def tensors() -> dict[str, np.ndarray]:
    return pth.read(convert.package_file())


@pytest.fixture(scope='module')
def backbone(tmp_path_factory: pytest.TempPathFactory) -> keras.Model:
    path = str(tmp_path_factory.mktemp('weights') / 'lite0.weights.h5')
    convert.convert(convert.package_file(), output=path)
    config = ModelConfig(name='efficientnet_lite0', weights=path)
    model = build_model(config, num_classes=2, input_shape=(SIZE, SIZE, 3))
    return model.get_layer('efficientnet_lite0')


@pytest.fixture(scope='module')
def admiral() -> np.ndarray:
    """Grace Hopper in uniform, an image in matplotlib: uint8 [1, 224, 224, 3]."""
    path = Path(mpl.get_data_path()) / 'sample_data' / 'grace_hopper.jpg'
    picture = preprocess.decode(tf.constant(path.read_bytes()), height=SIZE, width=SIZE)
    return picture.numpy()[np.newaxis]


def _windows(x: np.ndarray, *, kernel: int, stride: int) -> np.ndarray:
    """Returns TensorFlow's 'same' windows: [1, H, W, C] -> [1, h, w, C, kernel, kernel]."""
    pads = []
    for side in x.shape[1:3]:
        missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads.append((missing // 2, missing - missing // 2))
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(1, 2))
    return windows[:, ::stride, ::stride]


def _forward(x: np.ndarray, tensors: dict[str, np.ndarray]) -> np.ndarray:
    """Computes EfficientNet-Lite0 from PyTorch's weights: [1, H, W, 3] -> [1, H/32, W/32, 1280]."""

    def normalized(x: np.ndarray, name: str) -> np.ndarray:
        gamma, beta, mean, variance = (
            tensors[f'{name}.{part}'] for part in ('weight', 'bias', 'running_mean', 'running_var')
        )
        return (x - mean) * gamma / np.sqrt(variance + 1e-3) + beta

    def relu6(x: np.ndarray) -> np.ndarray:
        return np.clip(x, 0, 6)

    def mixed(x: np.ndarray, name: str) -> np.ndarray:
        return x @ tensors[f'{name}.weight'][:, :, 0, 0].T

    windows = _windows(x, kernel=3, stride=2)
    x = np.einsum('bhwcij,ocij->bhwo', windows, tensors['_conv_stem.weight'], optimize=True)
    x = relu6(normalized(x, '_bn0'))
    strided = {1, 3, 5, 11}  # first blocks of the stages that halve the map
    for number in range(16):
        block, inputs = f'_blocks.{number}', x
        if number:
            x = relu6(normalized(mixed(x, f'{block}._expand_conv'), f'{block}._bn0'))
        weight = tensors[f'{block}._depthwise_conv.weight'][:, 0]
        stride = 2 if number in strided else 1
        windows = _windows(x, kernel=weight.shape[-1], stride=stride)
        x = np.einsum('bhwcij,cij->bhwc', windows, weight, optimize=True)
        x = relu6(normalized(x, f'{block}._bn1'))
        x = normalized(mixed(x, f'{block}._project_conv'), f'{block}._bn2')
        x = x + inputs if x.shape == inputs.shape else x
    return relu6(normalized(mixed(x, '_conv_head'), '_bn1'))


def test_the_backbone_equals_numpy_with_the_original_weights(
    backbone: keras.Model, tensors: dict[str, np.ndarray], admiral: np.ndarray
) -> None:
    fed = preprocess.normalize(admiral, ModelConfig(name='efficientnet_lite0'))
    expected = _forward((admiral.astype(np.float64) - 127) / 128, tensors)
    np.testing.assert_allclose(backbone(fed), expected, atol=1e-4)


def test_the_backbone_classifies_an_image_correctly(
    backbone: keras.Model, tensors: dict[str, np.ndarray], admiral: np.ndarray
) -> None:
    fed = preprocess.normalize(admiral, ModelConfig(name='efficientnet_lite0'))
    features = np.asarray(backbone(fed)).mean((1, 2))
    logits = features @ tensors['_fc.weight'].T + tensors['_fc.bias']
    assert logits.argmax() == MILITARY_UNIFORM


def test_the_output_must_be_a_keras_weights_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--output must end in \.weights\.h5, got 'a\.h5'"):
        convert.convert(str(tmp_path / 'any.pth'), output='a.h5')


@pytest.mark.parametrize(
    ('replaced', 'message'),
    [
        ({}, r'must hold EfficientNet-Lite0, got: no tensor _conv_stem\.weight'),
        ({'_conv_stem.weight': np.zeros([3])}, 'must hold EfficientNet-Lite0, got: axes'),
        (
            {'_conv_stem.weight': np.zeros([1, 1, 1, 1])},
            'must hold EfficientNet-Lite0, got: .*shape',
        ),
    ],
)
def test_the_tensors_of_another_network_are_rejected(
    monkeypatch: pytest.MonkeyPatch, replaced: dict[str, np.ndarray], message: str
) -> None:
    monkeypatch.setattr(pth, 'read', lambda path: replaced)
    with pytest.raises(UserError, match=message) as error:
        convert.convert('other.pth', output='a.weights.h5')
    assert '\n' not in str(error.value)
