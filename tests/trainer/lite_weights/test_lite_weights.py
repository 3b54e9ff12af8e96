"""The ImageNet weights of EfficientNet-Lite, against the networks in plain numpy."""

from dataclasses import dataclass
from pathlib import Path

import keras
import matplotlib as mpl
import numpy as np
import pytest
import tensorflow as tf

from catalog.errors import UserError
from trainer.config import ModelConfig
from trainer.data import preprocess
from trainer.lite_weights import convert, pth
from trainer.models.model import build_model

MILITARY_UNIFORM = 652  # of ImageNet's 1,000 classes


@dataclass(frozen=True)
class Case:
    """A network and how it is proved.

    Attributes:
      network: Its name.
      size: Side of the images that it was trained on.
      compared: Side of the image on which it is compared with numpy.
      blocks: Number of blocks.
      strided: First blocks of the stages that halve the map.
      parameters: Number of weights without the layer of ImageNet's classes, as published.
    """

    network: str
    size: int
    compared: int
    blocks: int
    strided: frozenset[int]
    parameters: int


# As in github.com/tensorflow/tpu, efficientnet/lite: 4.7, 5.4 and 6.1 million parameters, of which
# the classes have 1.281.
CASES = [
    Case('efficientnet_lite0', 224, 224, 16, frozenset({1, 3, 5, 11}), 3_400_000),
    Case('efficientnet_lite1', 240, 96, 21, frozenset({1, 4, 7, 15}), 4_100_000),
    Case('efficientnet_lite2', 260, 96, 21, frozenset({1, 4, 7, 15}), 4_800_000),
]


@pytest.fixture(scope='module', params=CASES, ids=lambda case: case.network)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope='module')
def tensors(case: Case) -> dict[str, np.ndarray]:
    return pth.read(convert.package_file(case.network))


@pytest.fixture(scope='module')
def weights(case: Case, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp('weights') / 'lite.weights.h5')
    convert.convert(convert.package_file(case.network), network=case.network, output=path)
    return path


def _backbone(case: Case, weights: str, *, size: int) -> keras.Model:
    config = ModelConfig(name=case.network, weights=weights)
    model = build_model(config, num_classes=2, input_shape=(size, size, 3))
    return model.get_layer(case.network)


def _admiral(size: int) -> np.ndarray:
    """Grace Hopper in uniform, an image in matplotlib: uint8 [1, size, size, 3]."""
    path = Path(mpl.get_data_path()) / 'sample_data' / 'grace_hopper.jpg'
    picture = preprocess.decode(tf.constant(path.read_bytes()), height=size, width=size)
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


def _forward(x: np.ndarray, tensors: dict[str, np.ndarray], case: Case) -> np.ndarray:
    """Computes the network from PyTorch's weights: [1, H, W, 3] -> [1, H/32, W/32, 1280]."""

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
    for number in range(case.blocks):
        block, inputs = f'_blocks.{number}', x
        if number:
            x = relu6(normalized(mixed(x, f'{block}._expand_conv'), f'{block}._bn0'))
        weight = tensors[f'{block}._depthwise_conv.weight'][:, 0]
        stride = 2 if number in case.strided else 1
        windows = _windows(x, kernel=weight.shape[-1], stride=stride)
        x = np.einsum('bhwcij,cij->bhwc', windows, weight, optimize=True)
        x = relu6(normalized(x, f'{block}._bn1'))
        x = normalized(mixed(x, f'{block}._project_conv'), f'{block}._bn2')
        x = x + inputs if x.shape == inputs.shape else x
    return relu6(normalized(mixed(x, '_conv_head'), '_bn1'))


def test_the_backbone_equals_numpy_with_the_original_weights(
    case: Case, weights: str, tensors: dict[str, np.ndarray]
) -> None:
    image = _admiral(case.compared)
    fed = preprocess.normalize(image, ModelConfig(name=case.network))
    expected = _forward((image.astype(np.float64) - 127) / 128, tensors, case)
    found = _backbone(case, weights, size=case.compared)(fed)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_backbone_classifies_an_image_correctly(
    case: Case, weights: str, tensors: dict[str, np.ndarray]
) -> None:
    fed = preprocess.normalize(_admiral(case.size), ModelConfig(name=case.network))
    backbone = _backbone(case, weights, size=case.size)
    features = np.asarray(backbone(fed)).mean((1, 2))
    logits = features @ tensors['_fc.weight'].T + tensors['_fc.bias']
    assert logits.argmax() == MILITARY_UNIFORM
    trained = sum(int(np.prod(weight.shape)) for weight in backbone.trainable_weights)
    assert trained == pytest.approx(case.parameters, abs=50_000)


@pytest.mark.parametrize('other', ['efficientnet_lite1', 'efficientnet_lite2'])
def test_the_weights_of_another_network_of_the_family_are_rejected(other: str) -> None:
    with pytest.raises(UserError, match='must hold efficientnet_lite0, got: '):
        convert.convert(
            convert.package_file(other), network='efficientnet_lite0', output='a.weights.h5'
        )


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(UserError, match=r'install efficientnet-lite9-pytorch-model==0\.1\.0'):
        convert.package_file('efficientnet_lite9')


def test_the_output_must_be_a_keras_weights_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--output must end in \.weights\.h5, got 'a\.h5'"):
        convert.convert(str(tmp_path / 'any.pth'), network='efficientnet_lite0', output='a.h5')


@pytest.mark.parametrize(
    ('replaced', 'message'),
    [
        ({}, r'must hold efficientnet_lite0, got: no tensor _conv_stem\.weight'),
        ({'_conv_stem.weight': np.zeros([3])}, 'must hold efficientnet_lite0, got: axes'),
        (
            {'_conv_stem.weight': np.zeros([1, 1, 1, 1])},
            'must hold efficientnet_lite0, got: .*shape',
        ),
    ],
)
def test_the_tensors_of_another_network_are_rejected(
    monkeypatch: pytest.MonkeyPatch, replaced: dict[str, np.ndarray], message: str
) -> None:
    monkeypatch.setattr(pth, 'read', lambda path: replaced)
    with pytest.raises(UserError, match=message) as error:
        convert.convert('other.pth', network='efficientnet_lite0', output='a.weights.h5')
    assert '\n' not in str(error.value)
