"""Without Google credentials, a command ends within seconds in one line that says what to do."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.errors import UserError
from catalog.stores import google_credentials

ROOT = Path(__file__).resolve().parents[3]
ADVICE = (
    'gcloud auth application-default login creates them, or GOOGLE_APPLICATION_CREDENTIALS names '
    'the file of a key'
)
SHARD = [
    *('beam_pipelines.shard', '--input=gs://shop/train.bson', '--output=gs://shop/out'),
    *('--categories=gs://shop/category_names.csv',),
]
ON_DATAFLOW = [
    *('--runner=DataflowRunner', '--project=p', '--region=europe-west1'),
    *('--temp_location=gs://temp/tmp', '--sdk_container_image=gcr.io/p/beam'),
]
SUBMIT = [
    *('trainer.submit', '--config=configs/tiny.py', '--data=gs://shop/shards', '--machine=cpu'),
    *('--workdir=gs://shop/work', '--image=gcr.io/p/train', '--project=p', '--region=europe-west4'),
]
SCOPE = 'https://www.googleapis.com/auth/cloud-platform'
MOST_SECONDS = 120  # most of it for libraries on a busy machine: the search ends within 15 s


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """A metadata server that accepts connections and never answers."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        yield f'127.0.0.1:{server.getsockname()[1]}'


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """A port without a server."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        address = f'127.0.0.1:{server.getsockname()[1]}'
    yield address


def run(command: list[str], home: Path, metadata: str) -> tuple[int, str]:
    """Returns the exit code, and what was printed to standard error."""
    left_out = ('GOOGLE_', 'STORAGE_EMULATOR_HOST', 'CLOUDSDK_', 'GCE_', 'NO_GCE_CHECK')
    environment = {name: v for name, v in os.environ.items() if not name.startswith(left_out)}
    environment |= {'HOME': str(home), 'GCE_METADATA_HOST': metadata, 'GCE_METADATA_IP': metadata}
    done = subprocess.run(
        [sys.executable, '-m', *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
    )
    assert done.stdout == ''
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ('command', 'service'),
    [([*SHARD, *ON_DATAFLOW], 'Dataflow'), (SHARD, 'gs://'), (SUBMIT, 'gs://')],
    ids=['shard_on_dataflow', 'shard_from_a_bucket', 'submit'],
)
def test_missing_credentials_are_one_line(command: list[str], service: str, tmp_path: Path) -> None:
    with closed_port() as metadata:
        code, errors = run(command, tmp_path, metadata)
    assert code == 2, errors
    assert errors == f'error: {service} needs Google credentials, got none; {ADVICE}\n'


def test_a_metadata_server_that_does_not_answer_is_waited_for_a_few_seconds(tmp_path: Path) -> None:
    with silent_server() as metadata:
        code, errors = run([*SHARD, *ON_DATAFLOW], tmp_path, metadata)
    assert code == 2, errors
    assert errors == f'error: Dataflow needs Google credentials, got none; {ADVICE}\n'


@pytest.mark.parametrize(
    ('text', 'reason'),
    [(None, 'was not found'), (json.dumps({'type': 'other'}), 'does not have a valid type')],
)
def test_a_file_that_is_no_credentials_is_named(
    text: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'key.json'
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv('GOOGLE_APPLICATION_CREDENTIALS', str(path))
    with pytest.raises(UserError) as caught:
        google_credentials.find('Dataflow', scopes=[SCOPE])
    assert str(caught.value).startswith('Dataflow needs Google credentials, got an error: ')
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
