"""Trainings that run as jobs of a stand-in for Vertex AI, with data and workdir on an object store.

They take minutes, so `make test` does not collect them: `make test-vertex`.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.cloud.storage import Bucket

from tests import gcs_emulator, gcs_tls
from tests.cloud.vertex_service import ROOT, VertexService, running_service
from tests.trainer.conftest import make_data_set
from tests.trainer.distribution.worker_processes import (
    LIMIT_SECONDS,
    start_two,
    training_command,
    wait_for_exit,
)

_JOB = ('--image=eu-docker.pkg.dev/p/shop/train:1', '--project=p', '--region=europe-west4')
_SHORT = ('--config.total_steps=20', '--config.checkpoint_every_steps=4')
_SMALL = (
    '--config=configs/tiny.py',
    '--config.batch_size=16',
    '--config.total_steps=8',
    '--config.log_every_steps=4',
    '--config.model.channels=4',
    '--config.validation.every_steps=4',
)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_data_set(tmp_path_factory.mktemp('data'))


@pytest.fixture(scope='module')
def environment(data: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with (
        gcs_emulator.running_store() as url,
        gcs_tls.running_tls_proxy(url, tmp_path_factory.mktemp('tls')) as way,
    ):
        bucket = gcs_emulator.client(url).create_bucket('shop')
        for path in Path(data).iterdir():
            bucket.blob(f'shards/{path.name}').upload_from_filename(str(path))
        # Only TensorFlow's gs:// goes through the proxy, not the connections of the replicas.
        way |= {'no_proxy': '127.0.0.1', 'TF_CPP_MIN_LOG_LEVEL': '2'}
        yield {**os.environ, **way}


@pytest.fixture(scope='module')
def bucket(environment: dict[str, str]) -> Bucket:
    return gcs_emulator.client(environment['STORAGE_EMULATOR_HOST']).bucket('shop')


@pytest.fixture(scope='module')
def service(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VertexService]:
    with running_service(environment, tmp_path_factory.mktemp('vertex')) as service:
        yield service


@pytest.fixture
def submit(
    service: VertexService, environment: dict[str, str]
) -> Callable[..., subprocess.Popen[str]]:
    def start(*flags: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, '-m', 'trainer.submit', *_JOB, '--poll_seconds=0.5', *flags],
            env={**environment, **service.client_environment},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def _wait_for_line(bucket: Bucket, name: str, *, line: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS * 4
    while True:
        blob = bucket.blob(name)  # one that was read before stands for that generation
        if blob.exists() and blob.download_as_bytes().count(b'\n') >= line:
            return
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.timeout(3000)
def test_a_spot_job_that_loses_a_host_has_the_curve_of_an_undisturbed_run(
    service: VertexService,
    submit: Callable[..., subprocess.Popen[str]],
    bucket: Bucket,
    data: str,
    tmp_path: Path,
) -> None:
    """The host is killed once; Vertex AI notices it later than the other host does."""
    _, _, *flags = training_command('gs://shop/shards', 'gs://shop/work')
    process = submit('--machine=cpu', '--hosts=2', '--spot', *flags, *_SHORT)
    undisturbed = start_two(*training_command(data, tmp_path), *_SHORT)
    _wait_for_line(bucket, 'work/metrics.jsonl', line=5, process=process)
    (job,) = service.jobs.values()
    assert job.replicas
    job.replicas.kill('workerpool1-0')
    output, errors = process.communicate(timeout=LIMIT_SECONDS * 4)
    assert process.returncode == 0, output + errors
    assert job.replicas.exits[:2] == [('workerpool1-0', -9), ('workerpool0-0', 134)]
    assert ('workerpool0-0', 0) in job.replicas.exits[2:]
    message = 'workerpool0-0  error: worker 0: all 2 workers must be running, one is lost'
    assert message in output

    assert [code for code, *_ in wait_for_exit(undisturbed)] == [0, 0]
    expected = (tmp_path / 'metrics.jsonl').read_bytes()
    assert bucket.blob('work/metrics.jsonl').download_as_bytes() == expected


@pytest.mark.timeout(3000)
def test_each_trial_of_a_search_trains_in_its_own_workdir(
    submit: Callable[..., subprocess.Popen[str]], bucket: Bucket, tmp_path: Path
) -> None:
    space = tmp_path / 'space.py'
    space.write_text(
        'from trainer.tune import Choice, Range\n'
        'def get_space():\n'
        "    return {'optimizer.learning_rate': Range(1e-3, 1e-2, log=True),\n"
        "            'model.dropout': Range(0.1, 0.3, step=0.1), 'augment.flip': "
        'Choice((True, False))}\n'
    )
    where = ('--data=gs://shop/shards', '--workdir=gs://shop/search')
    process = submit(
        '--machine=cpu', f'--space={space}', '--trials=2', '--parallel_trials=1', *where, *_SMALL
    )
    output, errors = process.communicate(timeout=LIMIT_SECONDS * 4)
    assert process.returncode == 0, output + errors
    table = output[output.index('\ntrial  ') + 1 :].splitlines()
    results = {}
    for number in (1, 2):
        folder = f'search/trials/{number:05d}'
        rows = bucket.blob(f'{folder}/metrics.jsonl').download_as_bytes().splitlines()
        results[number] = max(json.loads(row).get('validation_accuracy', 0) for row in rows)
        config = json.loads(bucket.blob(f'{folder}/config.json').download_as_bytes())
        cells = table[1 + number].split()
        assert cells[:3] == [str(number), 'succeeded', f'{results[number]:.4f}']
        assert float(cells[3]) == pytest.approx(config['optimizer']['learning_rate'], rel=1e-4)
        assert cells[4:] == [
            str(config['model']['dropout']),
            str(config['augment']['flip']).lower(),
        ]
    assert f'best: trial {max(results, key=lambda number: results[number])}' in output
    assert table[-1].startswith('python -m trainer.task --config=configs/tiny.py ')


@pytest.mark.skipif(not shutil.which('gcloud'), reason='needs gcloud')
@pytest.mark.timeout(3000)
def test_gcloud_submits_the_job_of_a_dry_run(
    service: VertexService,
    environment: dict[str, str],
    submit: Callable[..., subprocess.Popen[str]],
    bucket: Bucket,
    tmp_path: Path,
) -> None:
    where = ('--data=gs://shop/shards', '--workdir=gs://shop/gcloud')
    printed, errors = submit(
        '--machine=cpu', '--hosts=2', '--dry_run', *where, *_SMALL
    ).communicate()
    assert not errors
    config = tmp_path / 'job.yaml'
    config.write_text(json.dumps(json.loads(printed)['jobSpec']))
    before = set(service.jobs)
    done = subprocess.run(
        [
            *('gcloud', 'ai', 'custom-jobs', 'create', '--project=p', '--region=europe-west4'),
            *('--display-name=shop', f'--config={config}', '--format=value(name)'),
        ],
        env={
            **environment,
            **service.client_environment,
            'CLOUDSDK_AUTH_DISABLE_CREDENTIALS': 'true',
            'CLOUDSDK_CONFIG': str(tmp_path / 'gcloud'),
            'https_proxy': '',
        },
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (name,) = set(service.jobs) - before
    job = service.jobs[name]
    job.join()
    assert job.proto.state.name == 'JOB_STATE_SUCCEEDED', job.proto.error.message
    rows = bucket.blob('gcloud/metrics.jsonl').download_as_bytes().splitlines()
    assert [json.loads(row)['step'] for row in rows] == [4, 8]
