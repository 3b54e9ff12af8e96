"""`python -m trainer.submit` against a stand-in for Vertex AI, whose replicas are small programs.

The training itself is in `tests/cloud/vertex_trainings.py`.
"""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.aiplatform_v1.types import CustomJob

from catalog.errors import UserError
from tests import gcs_emulator
from tests.cloud.vertex_service import ROOT, VertexService, running_service
from trainer.submit import vertex_job
from trainer.submit.vertex_client import VertexClient

_FLAGS = [
    *('--config=configs/tiny.py', '--data=gs://shop/shards', '--workdir=gs://shop/work'),
    *('--image=eu-docker.pkg.dev/p/shop/train:1', '--machine=cpu', '--poll_seconds=0.1'),
    *('--project=p', '--region=europe-west4'),
]
# Stands for the image's program: an image has a `python` of its own.
_PROGRAM = """#!/bin/sh
echo "args $*"
printf 'esc \\033[31m\\n'
case "$TF_CONFIG" in
  *'"type": "worker"'*) touch "$TMPDIR/worker";;
  *'"type": "chief"'*) until [ -e "$TMPDIR/worker" ]; do sleep 0.05; done;;
esac
case "$*" in
  *total_steps=1*) exit 3;;
  *total_steps=2*) exec sleep 600;;
esac
"""


@pytest.fixture(scope='module')
def store(data_folder: str) -> Iterator[str]:
    with gcs_emulator.running_store() as url:
        bucket = gcs_emulator.client(url).create_bucket('shop')
        manifest = Path(data_folder) / 'manifest.json'
        bucket.blob('shards/manifest.json').upload_from_filename(str(manifest))
        yield url


@pytest.fixture(scope='module')
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VertexService]:
    folder = tmp_path_factory.mktemp('image')
    program = folder / 'python'
    program.write_text(_PROGRAM)
    program.chmod(0o755)
    with running_service({'PATH': os.environ['PATH']}, folder) as service:
        service.environment['PATH'] = f'{folder}:{os.environ["PATH"]}'
        yield service


def _start(
    service: VertexService, store: str, *more: str, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-m', 'trainer.submit', *_FLAGS, *more],
        env={**os.environ, **service.client_environment, 'STORAGE_EMULATOR_HOST': store},
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _run(service: VertexService, store: str, *more: str) -> tuple[int, str, str]:
    process = _start(service, store, *more)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def test_a_job_is_followed_to_its_end(service: VertexService, store: str) -> None:
    code, output, errors = _run(service, store, '--hosts=2')
    assert code == 0, errors
    arguments = '-m trainer.task --config=configs/tiny.py --data=gs://shop/shards'
    lines = sorted(output.splitlines())
    assert [line.split('  ')[0] for line in lines] == ['workerpool0-0'] * 2 + ['workerpool1-0'] * 2
    assert lines[0].startswith(f'workerpool0-0  args {arguments} --workdir=gs://shop/work')
    assert lines[1] == r'workerpool0-0  esc \x1b[31m'
    assert errors.startswith('submitted projects/p/locations/europe-west4/customJobs/')
    assert errors.endswith(' succeeded\n')


def test_a_job_that_fails_is_one_line(service: VertexService, store: str) -> None:
    code, _, errors = _run(service, store, '--config.total_steps=1')
    assert code == 1
    last = errors.splitlines()[-1]
    assert last.startswith('error: the job projects/p/locations/europe-west4/customJobs/')
    assert last.endswith(
        ' has failed: The replica workerpool0-0 exited with a non-zero status of 3.'
    )


@pytest.mark.parametrize(('answer', 'code'), [('n', 130), ('y', 1)])
def test_ctrl_c_asks_whether_to_cancel_the_job(
    service: VertexService, store: str, answer: str, code: int
) -> None:
    main, terminal = pty.openpty()
    process = _start(service, store, '--config.total_steps=2', stdin=terminal)
    assert process.stdout
    assert process.stderr
    name = process.stderr.readline().split()[1]
    process.stdout.readline()  # it runs
    process.send_signal(signal.SIGINT)
    os.write(main, f'{answer}\n'.encode())
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    job = service.jobs[name]
    assert job.is_ended == (answer == 'y')
    job.cancel()
    job.join()
    for descriptor in (main, terminal):
        os.close(descriptor)


def test_a_refused_job_and_missing_data_are_one_line(service: VertexService, store: str) -> None:
    service.refusals.append(403)
    code, _, errors = _run(service, store, '--detach')
    assert (code, errors) == (2, 'error: Vertex AI: cannot create the job: injected\n')
    code, _, errors = _run(service, store, '--detach', '--data=gs://shop/none')
    assert code == 2
    assert errors.startswith('error: gs://shop/none')
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize('faults', [{'refusals': [503]}, {'lost_answers': [503, 502]}])
def test_a_service_that_is_away_for_a_moment_gets_one_job(
    service: VertexService, store: str, faults: dict[str, list[int]]
) -> None:
    """Also where the service has created the job and its answer is lost."""
    before = set(service.jobs)
    for name, statuses in faults.items():
        getattr(service, name).extend(statuses)
    code, _, errors = _run(service, store, '--detach')
    assert code == 0, errors
    (name,) = set(service.jobs) - before
    assert errors.startswith(f'submitted {name}\n')
    assert not service.refusals
    assert not service.lost_answers


def test_a_service_that_stays_away_is_one_line(
    service: VertexService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in service.client_environment.items():
        monkeypatch.setenv(name, value)
    options = vertex_job.VertexOptions(project='p', region='europe-west4')
    client = VertexClient(options, retry_seconds=1)
    service.refusals.extend([503] * 99)
    with pytest.raises(UserError) as caught:
        client.create(CustomJob(display_name='shop'))
    assert len(service.refusals) < 98
    service.refusals.clear()
    reason = 'cannot create the job, tried again and again: injected'
    assert str(caught.value) == f'Vertex AI: {reason}'
