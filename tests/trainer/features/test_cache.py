"""Feature caches, and runs that train a head on one."""

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from catalog import manifest
from catalog.errors import UserError
from catalog.formats import tfrecord
from tests.trainer import fused
from tests.trainer.spoiled import draw_spoiled
from trainer.data import feature_shards
from trainer.data.data_set import open_data_set
from trainer.evaluate import evaluation
from trainer.export import saved_model
from trainer.features.cache import write_cache
from trainer.inference.runs import restore_member
from trainer.models import weights
from trainer.models.model import feature_model
from trainer.workdir import metrics_file

_ON_FEATURES = ('input.features=true', 'augment.flip=false', 'model.fusion.name=gated')


@pytest.fixture(scope='module')
def backbone(half_evidence_folder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on single pictures."""
    workdir = tmp_path_factory.mktemp('backbone')
    fused.run(half_evidence_folder, workdir)
    return workdir


@pytest.fixture(scope='module')
def cache(
    half_evidence_folder: str, backbone: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The features of its backbone, written by the command line."""
    folder = tmp_path_factory.mktemp('cache') / 'features'
    flags = [f'--workdir={backbone}', f'--data={half_evidence_folder}', f'--output={folder}']
    done = subprocess.run(
        [sys.executable, '-m', 'trainer.features', *flags], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert '16 features per picture' in done.stdout
    return folder


@pytest.fixture(scope='module')
def head(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that trained a head on the features."""
    workdir = tmp_path_factory.mktemp('head')
    rate = ('optimizer.learning_rate=0.05', 'validation.every_steps=150')
    fused.run(str(cache), workdir, *_ON_FEATURES, *rate)
    return workdir


def _write(workdir: Path, folder: str, output: Path) -> None:
    member, _ = restore_member(str(workdir))
    write_cache(member, open_data_set(folder), output=str(output))


def _examples(folder: Path) -> list[tf.train.Example]:
    examples = []
    for path in open_data_set(str(folder)).paths('validation'):
        with open(path, 'rb') as file:
            examples += [tf.train.Example.FromString(data) for data in tfrecord.read(file)]
    return examples


def test_two_devices_compute_the_features_of_one(
    half_evidence_folder: str, backbone: Path, cache: Path, tmp_path: Path
) -> None:
    flags = [f'--workdir={backbone}', f'--data={half_evidence_folder}', f'--output={tmp_path}']
    devices = ['--strategy=mirrored', '--device=cpu', '--num_devices=2']
    done = subprocess.run(
        [sys.executable, '-m', 'trainer.features', *flags, *devices], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    one, two = _examples(cache), _examples(tmp_path)
    for actual, expected in zip(two, one, strict=True):
        views, same = (each.features.feature['image/features'] for each in (actual, expected))
        for view, other in zip(views.bytes_list.value, same.bytes_list.value, strict=True):
            np.testing.assert_allclose(
                np.frombuffer(view, '<f2'), np.frombuffer(other, '<f2'), rtol=2e-3, atol=1e-6
            )
        del views.bytes_list.value[:], same.bytes_list.value[:]
        assert actual == expected  # label and product


def test_the_records_have_the_features_of_each_view(
    half_evidence_folder: str, backbone: Path, cache: Path
) -> None:
    model = restore_member(str(backbone))[0].model
    products, examples = fused.products(half_evidence_folder), _examples(cache)
    assert len(products) == len(examples)
    for product, example in zip(products[:9], examples, strict=False):
        feature = example.features.feature
        assert product.category
        assert list(feature['image/class/label'].int64_list.value) == [product.category.label]
        assert list(feature['product/id'].int64_list.value) == [product.product_id]
        actual = [np.frombuffer(view, '<f2') for view in feature['image/features'].bytes_list.value]
        expected = feature_model(model)(fused.pixels(product.pictures))
        np.testing.assert_allclose(np.stack(actual), expected, rtol=2e-3, atol=1e-3)


def test_the_cache_is_a_data_set_of_the_same_products(
    half_evidence_folder: str, cache: Path
) -> None:
    pictures, features = manifest.read(half_evidence_folder), manifest.read(str(cache))
    assert features.options['record'] == 'features'
    assert features.options['features']['data_sha256'] == manifest.digest(half_evidence_folder)
    assert set(features.splits) == {'train', 'validation'}  # not the unlabelled split
    for name, split in features.splits.items():
        assert split.records_per_class == pictures.splits[name].records_per_class
        assert [shard.file for shard in split.shards] == [
            shard.file for shard in pictures.splits[name].shards
        ]


def test_a_stopped_job_writes_only_the_missing_shards(
    half_evidence_folder: str, backbone: Path, cache: Path, tmp_path: Path
) -> None:
    folder = tmp_path / 'features'
    shutil.copytree(cache, folder)
    (folder / 'manifest.json').unlink()
    missing = folder / 'train-00001-of-00003.tfrecord'
    missing.unlink()
    before = {path: path.stat().st_ino for path in folder.glob('*.tfrecord')}
    _write(backbone, half_evidence_folder, folder)
    assert all(path.stat().st_ino == inode for path, inode in before.items())
    for name in ('manifest.json', missing.name):
        assert (folder / name).read_bytes() == (cache / name).read_bytes()


def test_a_cache_of_another_backbone_or_other_data_is_an_error(
    half_evidence_folder: str, fused_workdir: Path, backbone: Path, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"holds features with model_sha256 '[0-9a-f]{64}'"):
        _write(fused_workdir, half_evidence_folder, cache)
    other = tmp_path / 'data'
    shutil.copytree(half_evidence_folder, other)
    actual = manifest.read(str(other))
    manifest.write(
        dataclasses.replace(actual, source={**actual.source, 'documents': 7}), str(other)
    )
    with pytest.raises(UserError, match=r"holds features with data_sha256 '[0-9a-f]{64}'"):
        _write(backbone, str(other), cache)
    with pytest.raises(UserError, match='must be a new folder or a feature cache'):
        _write(backbone, half_evidence_folder, backbone)


@pytest.mark.parametrize(
    ('change', 'message'),
    [({'size': 'x'}, 'options.features.size'), ({'height': None}, 'options.features.height')],
)
def test_a_manifest_with_a_wrong_source_of_features_is_an_error(
    cache: Path, change: dict[str, object], message: str
) -> None:
    actual = manifest.read(str(cache))
    features = {**actual.options['features'], **change}
    wrong = dataclasses.replace(actual, options={**actual.options, 'features': features})
    with pytest.raises(UserError, match=f'manifest.json: {message} must be what trainer.features'):
        feature_shards.feature_source(wrong)


def test_the_head_is_trained_and_the_backbone_is_frozen(backbone: Path, head: Path) -> None:
    trained, complete = (restore_member(str(workdir))[0].model for workdir in (backbone, head))
    before, after = dict(weights.weight_paths(trained)), dict(weights.weight_paths(complete))
    shared = [path for path in before if not path.startswith('logits/')]
    assert len(shared) > 10
    for path in shared:
        np.testing.assert_array_equal(after[path].numpy(), before[path].numpy(), err_msg=path)
    assert metrics_file.read_metrics(str(head))[-1]['accuracy'] > 0.95


def test_a_run_on_features_is_a_complete_model_of_pictures(
    half_evidence_folder: str, head: Path, tmp_path: Path
) -> None:
    actual = evaluation.evaluate(
        workdir=str(head),
        data_folder=half_evidence_folder,
        split='validation',
        output=str(tmp_path / 'report'),
    )
    assert actual.products.metrics.accuracy > 0.95
    logged = metrics_file.read_metrics(str(head))[-1]  # computed from rounded features
    assert logged['validation_accuracy'] == pytest.approx(
        actual.products.metrics.accuracy, abs=0.02
    )
    assert logged['validation_loss'] == pytest.approx(actual.products.metrics.loss, rel=0.02)

    saved_model.export(workdir=str(head), output=str(tmp_path / '1'), top_k=9, threshold=0.5)
    signature = tf.saved_model.load(str(tmp_path / '1')).signatures['product']
    product = fused.products(half_evidence_folder)[0]
    outputs = signature(
        image_bytes=tf.constant(list(product.pictures)),
        product=tf.zeros([len(product.pictures)], tf.int64),
    )
    expected = np.sort(fused.probabilities(head, product.pictures))[::-1]
    np.testing.assert_allclose(outputs['confidence'][0], expected, atol=1e-5)


def test_a_run_on_features_resumes_exactly(cache: Path, tmp_path: Path) -> None:
    flags = (
        *_ON_FEATURES,
        'total_steps=12',
        'log_every_steps=3',
        'checkpoint_every_steps=4',
        'steps_per_call=3',
        'model.fusion.dropout=0.2',
        'step.ema_decay=0.9',
        'loss.levels=heads',
        'optimizer.schedule.name=constant',
    )
    uninterrupted = fused.run(str(cache), tmp_path / 'uninterrupted', *flags)
    fused.run(str(cache), tmp_path / 'cut', *flags, 'total_steps=6')
    assert fused.run(str(cache), tmp_path / 'cut', *flags) == uninterrupted


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (('model.channels=8',), r'model\.channels must be that of the features, 4, got 8'),
        (('input.height=16',), r'input\.height must be that of the features, 12, got 16'),
        (('input.features=false',), r"input\.features is False, but the records are of kind 'feat"),
    ],
)
def test_a_config_that_does_not_match_the_features_is_an_error(
    cache: Path, tmp_path: Path, flags: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        fused.run(str(cache), tmp_path, *_ON_FEATURES, *flags)


def test_a_run_on_features_cannot_read_pictures(half_evidence_folder: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="features is True, but the records are of kind 'product'"):
        fused.run(half_evidence_folder, tmp_path, *_ON_FEATURES)


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (('model.fusion.name=none',), r'model\.fusion must be on if input\.features is'),
        (('augment.flip=true',), 'augment must be off'),
        (('augment.erase=0.5',), 'augment must be off'),
        (('start.workdir=x',), r"start\.workdir must be None .* got 'x'"),
    ],
)
def test_options_that_need_pictures_are_errors(
    cache: Path, tmp_path: Path, flags: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        fused.run(str(cache), tmp_path, *_ON_FEATURES, *flags)


def test_a_cache_with_another_backbone_is_an_error(cache: Path, tmp_path: Path) -> None:
    damaged = tmp_path / 'features'
    shutil.copytree(cache, damaged)
    path = damaged / 'manifest.json'
    document = json.loads(path.read_text())
    document['options']['features']['model_sha256'] = '0' * 64
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match='another model computed the features'):
        fused.run(str(damaged), tmp_path / 'run', *_ON_FEATURES)
    weights = damaged / 'backbone.data-00000-of-00001'
    weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(UserError, match='must hold the weights of this model'):
        fused.run(str(damaged), tmp_path / 'run', *_ON_FEATURES)


def test_a_model_cannot_be_evaluated_on_features(cache: Path, head: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='--data must hold pictures, got a feature cache'):
        evaluation.evaluate(
            workdir=str(head),
            data_folder=str(cache),
            split='validation',
            output=str(tmp_path / 'report'),
        )


def test_a_config_without_weights_is_an_error(half_evidence_folder: str) -> None:
    flags = ['--config=configs/tiny.py', f'--data={half_evidence_folder}', '--output=unused']
    done = subprocess.run(
        [sys.executable, '-m', 'trainer.features', *flags], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert 'model.weights must be set, or --workdir given' in done.stderr


def test_undecodable_pictures_are_left_out_of_a_cache(
    make_data_set: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = {'counts': (6, 4), 'validation_counts': (3, 2), 'shards': 2}
    intact = make_data_set(tmp_path / 'intact', **shape)
    # Train draws 20 pictures: product 1 has the first two, product 2 the next three.
    data = open_data_set(make_data_set(tmp_path / 'data', draw=draw_spoiled({0, 1, 3}), **shape))
    fused.run(intact, tmp_path / 'run', 'total_steps=2', 'log_every_steps=1')
    member, _ = restore_member(str(tmp_path / 'run'))
    write_cache(member, data, output=str(tmp_path / 'cache'))
    write_cache(member, open_data_set(intact), output=str(tmp_path / 'all'))
    assert capsys.readouterr().err.count('is undecodable and is passed over') == 3

    def views(folder: str) -> dict[int, list[bytes]]:
        found = {}
        for path in open_data_set(str(tmp_path / folder)).paths('train'):
            with open(path, 'rb') as file:
                examples = [tf.train.Example.FromString(record) for record in tfrecord.read(file)]
            for example in examples:
                features = example.features.feature
                product_id = features['product/id'].int64_list.value[0]
                found[product_id] = list(features['image/features'].bytes_list.value)
        return found

    expected, found = views('all'), views('cache')
    assert found.keys() == expected.keys() - {1}
    assert len(found[2]) == 2
    split = open_data_set(str(tmp_path / 'cache')).split('train')
    assert (split.records, split.pictures) == (9, 17)
    assert sum(split.records_per_class) == sum(split.products_per_class) == 9
    assert sum(split.pictures_per_class) == 17
    assert [shard.records for shard in split.shards] == [4, 5]
