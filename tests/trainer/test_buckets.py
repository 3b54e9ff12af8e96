"""A run whose data, reports, models and predictions are on `s3://`, with TensorFlow as it is.

TensorFlow opens no `s3://`: it trains from a local copy of the shards, reads copies of checkpoints
and models, and what it writes is uploaded when it is complete.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import keras
import pytest

from catalog.digests import folder as digests
from catalog.errors import UserError
from tests import buckets
from tests.buckets import Bucket
from trainer.config import InputConfig, ModelConfig, TrainConfig
from trainer.data.data_set import open_data_set
from trainer.evaluate.evaluation import evaluate
from trainer.export.saved_model import export
from trainer.models import backbone_file
from trainer.predict.dump_predictions import predict
from trainer.summary import artifacts
from trainer.training.loop import train

_CONFIG = TrainConfig(
    batch_size=8,
    total_steps=6,
    log_every_steps=2,
    model=ModelConfig(channels=4),
    input=InputConfig(height=28, width=28),
)


@pytest.fixture(scope='module')
def store(data_folder: str) -> Iterator[Bucket]:
    with buckets.running('s3://') as bucket:
        for path in Path(data_folder).iterdir():
            bucket.write(f'shards/{path.name}', path.read_bytes())
        yield bucket


@pytest.fixture(scope='module')
def workdir(data_folder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that never saw a bucket."""
    folder = tmp_path_factory.mktemp('local') / 'work'
    train(_CONFIG, open_data_set(data_folder), str(folder))
    return folder


@pytest.fixture
def bucket(store: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    for name, value in store.environment(store.url).items():
        monkeypatch.setenv(name, value)
    return store


def test_training_from_a_bucket_logs_what_training_from_a_disk_does(
    bucket: Bucket, workdir: Path, data_folder: str, tmp_path: Path
) -> None:
    train(_CONFIG, open_data_set(bucket.path('shards')), str(tmp_path / 'work'))
    metrics = (tmp_path / 'work' / 'metrics.jsonl').read_bytes()
    assert metrics == (workdir / 'metrics.jsonl').read_bytes()
    copied = {path.name: path.read_bytes() for path in (tmp_path / 'cache').rglob('*.tfrecord')}
    shards = {path.name: path.read_bytes() for path in Path(data_folder).glob('train-*.tfrecord')}
    assert shards.items() <= copied.items()


def test_a_damaged_shard_in_a_bucket_is_named_and_never_in_the_cache(
    bucket: Bucket, data_folder: str, tmp_path: Path
) -> None:
    for path in Path(data_folder).iterdir():
        data = path.read_bytes()
        damaged = path.name.startswith('train-00001')
        bucket.write(f'damaged/{path.name}', data[:-1] + b'?' if damaged else data)
    data_set = open_data_set(bucket.path('damaged'))
    with pytest.raises(UserError, match=r's3://shop/damaged/train-00001-.*: SHA-256 must be'):
        data_set.paths('train')
    assert not list((tmp_path / 'cache').rglob('*train-00001*'))


def test_the_backbone_of_a_feature_cache_is_written_and_read(bucket: Bucket) -> None:
    def build(seed: int) -> keras.Model:
        kernel = keras.initializers.RandomNormal(seed=seed)
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, None, True, kernel)])

    written, read = build(0), build(1)
    backbone_file.save(written, bucket.path('features'))
    digest = backbone_file.digest(written)
    assert backbone_file.digest(read) != digest
    backbone_file.restore(read, bucket.path('features'), sha256=digest)
    assert backbone_file.digest(read) == digest


def test_a_workdir_in_a_bucket_needs_tensorflow_io(bucket: Bucket, data_folder: str) -> None:
    with pytest.raises(UserError, match=r's3://shop/work: --workdir must be a local folder or'):
        train(_CONFIG, open_data_set(data_folder), bucket.path('work'))
    assert bucket.objects('work') == {}


def test_reports_models_and_predictions_in_a_bucket_are_those_of_a_disk(
    bucket: Bucket, workdir: Path, data_folder: str, tmp_path: Path
) -> None:
    for path in workdir.rglob('*'):
        if path.is_file():
            bucket.write(f'run/{path.relative_to(workdir)}', path.read_bytes())
    for run, data, report in [
        (str(workdir), data_folder, str(tmp_path / 'report')),
        (bucket.path('run'), bucket.path('shards'), bucket.path('run/report')),
    ]:
        evaluate(workdir=run, data_folder=data, split='validation', output=report)
    found = bucket.objects('run/report')
    assert sorted(found) == sorted(path.name for path in (tmp_path / 'report').iterdir())
    assert found['predictions.parquet'] == (tmp_path / 'report/predictions.parquet').read_bytes()

    model = bucket.path('models/clothes/1')
    export(workdir=bucket.path('run'), output=model, top_k=5, threshold=0.5)
    copy = tmp_path / 'clothes' / '1'
    for name, data in bucket.objects('models/clothes/1').items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(data or b'')
    assert digests.verify(str(copy)) == 'intact'
    with pytest.raises(UserError, match=r's3://shop/models/clothes/1: must not exist yet'):
        export(workdir=bucket.path('run'), output=model, top_k=5, threshold=0.5)

    shards, local, output = 'validation-*.tfrecord', tmp_path / 'a.csv', bucket.path('a.csv')
    predict(models=[str(copy)], pattern=f'{data_folder}/{shards}', output=str(local))
    predict(models=[model], pattern=bucket.path(f'shards/{shards}'), output=output)
    assert bucket.read('a.csv') == local.read_bytes()
    assert not [path for path in (tmp_path / 'cache').rglob('*a.csv*') if path.is_file()]
    with pytest.raises(UserError, match=r's3://shop/a.csv: must not exist yet'):
        predict(models=[model], pattern=bucket.path(f'shards/{shards}'), output=output)

    data, run = bucket.path('shards'), bucket.path('run')
    read = artifacts.read_run(data=data, workdir=run, export=model, answers=[])
    assert read.evaluation == json.loads((tmp_path / 'report/evaluation.json').read_bytes())
