"""Test-time augmentation, in evaluations and in exported models."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from catalog.errors import UserError
from tests.trainer.conftest import jpeg
from trainer.config import ModelConfig, TrainConfig, files
from trainer.data.batches import picture_batches
from trainer.data.data_set import DataSet, open_data_set
from trainer.evaluate import evaluation
from trainer.evaluate.evaluation import EvaluateOptions
from trainer.export import saved_model
from trainer.inference.predictor import Predictor
from trainer.inference.runs import restore_member
from trainer.inference.scores import score_pictures
from trainer.models.model import build_model
from trainer.models.tta import CHOICES, build_tta_model
from trainer.training.loop import train

_SMALL = ('batch_size=16', 'total_steps=12', 'model.channels=4', 'input.shuffle_records=40')


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


@pytest.fixture(scope='module')
def workdir(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('run')
    train(files.load('configs/tiny.py', [*_SMALL, 'augment.flip=false']), data, str(folder))
    return folder


@pytest.fixture(scope='module')
def model(workdir: Path) -> tuple[keras.Model, TrainConfig]:
    member, _ = restore_member(str(workdir))
    return member.model, member.config


def _flip_averaged(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    """Computes the mean probability of both ways: uint8 [N, H, W, 3] -> [N, C]."""
    images = pixels.astype(np.float32) / 127.5 - 1
    one, other = (model(x, training=False).numpy() for x in (images, images[:, :, ::-1]))
    return (special.softmax(one, axis=1) + special.softmax(other, axis=1)) / 2


def test_probabilities_are_the_mean_of_an_image_and_its_mirror_image(
    data: DataSet, model: tuple[keras.Model, TrainConfig]
) -> None:
    plain, config = model
    batches = list(picture_batches(data, 'validation', config.input, batch_size=config.batch_size))
    both = build_tta_model(plain, 'flip')
    for batch, scored in zip(
        batches, score_pictures(Predictor(both, config.model), batches), strict=True
    ):
        expected = _flip_averaged(plain, batch['image'].numpy())
        np.testing.assert_allclose(scored.probabilities, expected, rtol=1e-4, atol=1e-7)
        of_label = expected[range(len(expected)), batch['label']]
        np.testing.assert_allclose(scored.label_log_probability, np.log(of_label), rtol=1e-4)
        assert np.abs(expected - special.softmax(plain(batch['image']), axis=1)).max() > 1e-3


def test_a_model_with_the_name_of_its_backbone_is_averaged_too() -> None:
    config = ModelConfig(name='mobilenet_v3_small')
    plain = build_model(config, num_classes=3, input_shape=(32, 32, 3))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    one, other = (plain(x, training=False).numpy() for x in (pixels, pixels[:, :, ::-1]))
    expected = np.log((special.softmax(one, axis=1) + special.softmax(other, axis=1)) / 2)
    averaged = build_tta_model(plain, 'flip')(pixels, training=False)
    np.testing.assert_allclose(averaged, expected, rtol=1e-4, atol=1e-6)


def test_a_report_names_the_augmentation_of_its_evaluation(
    workdir: Path, data_folder: str, tmp_path: Path
) -> None:
    reports = {}
    for tta in CHOICES:
        evaluation.evaluate(
            workdir=str(workdir), data_folder=data_folder, split='validation',
            output=str(tmp_path / tta), options=EvaluateOptions(tta=tta),
        )  # fmt: skip
        reports[tta] = json.loads((tmp_path / tta / 'evaluation.json').read_text())
        assert reports[tta]['tta'] == tta
    assert reports['flip']['loss'] != reports['none']['loss']
    assert "its mirror image's" in reports['flip']['definitions']['product']


def test_the_exported_model_averages_both_ways(
    workdir: Path, data_folder: str, model: tuple[keras.Model, TrainConfig], tmp_path: Path
) -> None:
    output = tmp_path / 'm' / '1'
    saved_model.export(workdir=str(workdir), output=str(output), top_k=4, threshold=0.5, tta='flip')
    pictures = [jpeg(np.random.default_rng(label), label=label) for label in range(4)]
    pixels = np.stack([tf.io.decode_jpeg(picture, dct_method='INTEGER_ACCURATE').numpy()
                       for picture in pictures])  # fmt: skip
    expected = _flip_averaged(model[0], pixels)
    served = tf.saved_model.load(str(output)).signatures
    answers = served['serving_default'](image_bytes=tf.constant(pictures))
    found = np.take_along_axis(expected, answers['label'].numpy(), axis=1)
    np.testing.assert_allclose(answers['confidence'], found, rtol=1e-4)
    together = served['product'](image_bytes=tf.constant(pictures), product=tf.zeros(4, tf.int64))
    np.testing.assert_allclose(
        together['confidence'][0], np.sort(expected.mean(axis=0))[::-1], rtol=1e-4
    )
    card = json.loads((output / 'model_card.json').read_text())
    assert card['test_time_augmentation'] == 'flip'


def test_a_temperature_is_used_only_for_the_augmentation_that_it_was_fitted_with(
    data: DataSet, data_folder: str, tmp_path: Path
) -> None:
    train(files.load('configs/tiny.py', _SMALL), data, str(tmp_path / 'w'))
    evaluation.evaluate(
        workdir=str(tmp_path / 'w'), data_folder=data_folder, split='validation',
        output=str(tmp_path / 'w' / 'report'), options=EvaluateOptions(tta='flip'),
    )  # fmt: skip
    words = {}
    for version, tta in enumerate(CHOICES, start=1):
        output = str(tmp_path / 'm' / str(version))
        baked = saved_model.export(
            workdir=str(tmp_path / 'w'), output=output, top_k=4, threshold=0.5, tta=tta
        )
        words[tta] = baked.words
    assert words['flip'].startswith('calibrated on 18 products')
    assert 'was made with --tta=flip, the model with --tta=none' in words['none']


def test_a_model_that_fuses_views_is_rejected(data: DataSet, tmp_path: Path) -> None:
    config = files.load('configs/tiny.py', [*_SMALL, 'model.fusion.name=max'])
    train(config, data, str(tmp_path))
    with pytest.raises(UserError, match='--tta must be none for a model that fuses views'):
        build_tta_model(restore_member(str(tmp_path))[0].model, 'flip')
