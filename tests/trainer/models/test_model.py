import itertools
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.utils import file_utils

from catalog.errors import UserError
from trainer.config import InputConfig, ModelConfig, files
from trainer.config.backbones import FAMILIES, NAMES, family_of
from trainer.models import weights
from trainer.models.model import build_model, count_parameters, feature_model, sketch
from trainer.optim import parameter_groups

CONFIGS = Path(__file__).parents[3] / 'configs'


def _build(name: str, **fields: object) -> keras.Model:
    side = family_of(name).smallest
    config = ModelConfig(name=name, **fields)
    return build_model(config, num_classes=5, input_shape=(side, side, 3))


def test_a_small_model_returns_a_logit_for_each_class() -> None:
    model = build_model(ModelConfig(channels=4), num_classes=5, input_shape=(28, 28, 3))
    logits = model(tf.zeros([2, 28, 28, 3]))
    assert logits.shape == (2, 5)
    assert logits.dtype == tf.float32


def test_a_small_resnet_has_nine_layers_with_weights() -> None:
    model = build_model(
        ModelConfig(name='small_resnet', channels=8), num_classes=5, input_shape=(28, 28, 3)
    )
    assert feature_model(model)(tf.zeros([2, 28, 28, 3])).shape == (2, 64)
    widths = [(3, 8), (8, 16), (16, 16), (16, 16), (16, 32), (32, 64), (64, 64), (64, 64)]
    convolutions = sum(9 * before * after for before, after in widths)
    norms = sum(4 * after for _, after in widths)
    assert model.count_params() == convolutions + norms + 64 * 5 + 5


def test_features_are_the_input_of_the_last_layer() -> None:
    model = build_model(ModelConfig(channels=4), num_classes=5, input_shape=(16, 16, 3))
    images = tf.random.stateless_normal([3, 16, 16, 3], [1, 2])
    features = feature_model(model)(images)
    assert features.shape == (3, 16)
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(model(images), features @ kernel + bias, atol=1e-6)


@pytest.mark.parametrize('family', FAMILIES)
def test_a_backbone_of_each_family_takes_its_smallest_image(family: str) -> None:
    side, (name, *_) = FAMILIES[family].smallest, FAMILIES[family].members
    model = sketch(ModelConfig(name=name), num_classes=5, input_shape=(side, side, 3))
    assert model.input_shape == (None, side, side, 3)
    assert model.output_shape == (None, 5)
    assert all(
        path.startswith(f'{name}/') for path, _ in weights.weight_paths(model) if '/block' in path
    )


def test_every_model_of_keras_has_a_name_in_snake_case() -> None:
    ours = {keras_name for f in FAMILIES.values() for keras_name in f.members.values()}
    theirs = {name for name in dir(keras.applications) if name[0].isupper()}
    assert ours - {''} == theirs
    for name in ('inception_v3', 'efficientnet_v2_b0', 'resnet101_v2', 'nasnet_large', 'vgg16'):
        assert name in NAMES


THESIS = {  # from its printed summaries: all parameters, trainable parameters
    'thesis_inception_v3_conv': (66_039_222, 65_999_670),
    'thesis_inception_v3_flatten': (194_495_414, 194_460_982),
    'thesis_efficientnet_b7_conv': (113_327_917, 49_229_718),
    'thesis_efficientnet_b7_average': (77_594_157, 15_139_990),
    'thesis_resnet101_flatten': (571_526_678, 571_417_238),
}


@pytest.mark.parametrize('name', THESIS)
def test_the_networks_of_the_thesis_have_the_parameters_of_its_summaries(name: str) -> None:
    config = files.load(str(CONFIGS / f'{name}.py'), ['model.weights=null'])
    shape = (config.input.height, config.input.width, 3)
    model = sketch(config.model, num_classes=5270, input_shape=shape)
    if config.optimizer.groups:
        parameter_groups.freeze_layers(
            model, parameter_groups.assign_weights(model, config.optimizer.groups)
        )
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert (model.count_params(), trainable) == THESIS[name]


def _separable(before: int, after: int) -> int:
    return 9 * before + before * after + after


@pytest.mark.parametrize('classes', [1, 5270])
def test_the_small_xception_equals_that_of_the_keras_example(classes: int) -> None:
    entry = 27 * 32 + 32 + 4 * 32 + 9 * 32 * 64 + 64 + 4 * 64
    sizes = [64, 128, 256, 512, 728]
    blocks = sum(
        _separable(a, b) + 4 * b + _separable(b, b) + 4 * b + a * b + b
        for a, b in itertools.pairwise(sizes)
    )
    expected = entry + blocks + _separable(728, 1024) + 4 * 1024 + 1025 * classes
    assert expected == {1: 2_782_649, 5270: 8_183_374}[classes]  # keras.io prints the first
    config = files.load(str(CONFIGS / 'thesis_small_xception.py')).model
    found = count_parameters(config, num_classes=classes, input_shape=(180, 180, 3))
    assert found == expected


def test_nasnet_large_has_the_parameters_of_keras_and_a_last_layer() -> None:
    config = files.load(str(CONFIGS / 'thesis_nasnet_large.py')).model
    found = count_parameters(config, num_classes=5270, input_shape=(180, 180, 3))
    assert found == 84_916_818 + 4033 * 5270


@pytest.mark.parametrize(
    ('policy', 'tolerance'), [('float32', 1e-5), ('mixed_float16', 5e-3), ('mixed_bfloat16', 0.06)]
)
def test_efficientnet_normalizes_pixels_like_the_reference(policy: str, tolerance: float) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        backbone = _build('efficientnet_b0').get_layer('efficientnet_b0')
    finally:
        keras.config.set_dtype_policy('float32')
    stem = keras.Model(backbone.input, backbone.get_layer('stem_conv_pad').input)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(stem(pixels), (pixels / 255 - mean) / deviation, atol=tolerance)


def test_efficientnet_with_keras_weights_equals_that_of_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = keras.applications.EfficientNetB0(include_top=False, weights=None)
    (norm,) = (x for x in published.layers if isinstance(x, keras.layers.Normalization))
    norm.adapt_mean.assign(keras.ops.reshape([0.485, 0.456, 0.406], norm.adapt_mean.shape))
    norm.adapt_variance.assign(keras.ops.reshape([0.229, 0.224, 0.225], norm.adapt_mean.shape))
    path = tmp_path / 'a.weights.h5'
    published.save_weights(path)  # like the published file, with the deviation as the variance
    monkeypatch.setattr(file_utils, 'get_file', lambda *_, **__: str(path))  # the download
    ours = _build('efficientnet_b0', weights='imagenet').get_layer('efficientnet_b0')
    theirs = keras.applications.EfficientNetB0(
        include_top=False, weights='imagenet', input_shape=(32, 32, 3)
    )
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(ours(pixels), theirs(pixels), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', ['efficientnet_b0', 'mobilenet_v3_small'])
def test_weights_from_a_file_are_restored_from_a_checkpoint_without_the_file(
    name: str, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(1)
    first = _build(name)
    first.get_layer(name).save_weights(tmp_path / 'a.weights.h5')
    keras.utils.set_random_seed(2)
    second = _build(name, weights=str(tmp_path / 'a.weights.h5'))
    images = tf.random.stateless_uniform([2, 32, 32, 3], [1, 2], maxval=255)
    inner = [model.get_layer(name)(images) for model in (first, second)]
    np.testing.assert_array_equal(*inner)
    path = tf.train.Checkpoint(model=second).write(str(tmp_path / 'ckpt'))
    third = _build(name)
    tf.train.Checkpoint(model=third).read(path).assert_consumed()
    np.testing.assert_array_equal(second(images), third(images))


def test_an_absent_weights_file_is_rejected() -> None:
    with pytest.raises(UserError, match=r"model\.weights must be .* mobilenet_v2 .* 'absent\.h5'"):
        _build('mobilenet_v2', weights='absent.h5')


def test_weights_of_another_network_are_rejected(tmp_path: Path) -> None:
    path = str(tmp_path / 'a.weights.h5')
    _build('mobilenet').get_layer('mobilenet').save_weights(path)
    with pytest.raises(UserError, match=r'must be imagenet or a file of mobilenet_v2 weights'):
        _build('mobilenet_v2', weights=path)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'name': 'vgg'}, r"model\.name must be one of small_cnn, .*, vgg16, .*; got 'vgg'"),
        ({'weights': 'imagenet'}, r"weights of small_cnn must be None, got 'imagenet'"),
        (
            {'name': 'efficientnet_lite0', 'weights': 'imagenet'},
            r'must be a file, .*; python -m trainer\.lite_weights --network=efficientnet_lite0 ',
        ),
    ],
)
def test_an_impossible_network_is_rejected_with_the_valid_values(fields, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig(**fields)


def test_an_image_below_the_smallest_of_the_backbone_is_rejected() -> None:
    from trainer.config import TrainConfig

    with pytest.raises(ValueError, match='must be at least 71 for xception, got 70 and 180'):
        TrainConfig(
            batch_size=1,
            total_steps=1,
            model=ModelConfig(name='xception'),
            input=InputConfig(height=70, width=180),
        )
