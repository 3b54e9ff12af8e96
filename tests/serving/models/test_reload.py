"""The models' config changes while the real server runs: by file, and by a gRPC request."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import (
    model_management_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from catalog.digests import folder as digests
from tests.keys import key_pair
from tests.serving.colours import BLUE, b64, jpeg, predict_request, save_version
from tests.serving.running import ROOT, RunningServer
from tests.serving.slow_requests import wait_for


def config_text(base: Path, policy: str, labels: dict[str, int]) -> str:
    lines = ''.join(f'version_labels {{ key: "{k}" value: {v} }}' for k, v in labels.items())
    return f"""model_config_list {{ config {{
      name: "colours" base_path: "{base}" model_platform: "tensorflow"
      model_version_policy {{ {policy} }} {lines}
    }} }}"""


def predict(server: RunningServer, path: str) -> tuple[int, Any]:
    body = {'instances': [b64(jpeg(BLUE))]}
    status, response = server.http('POST', f'/v1/models/{path}:predict', body)
    return status, response.get('predictions') or response['error']


def state(server: RunningServer, version: int) -> Any:
    _, response = server.http('GET', f'/v1/models/colours/versions/{version}')
    return response['model_version_status'][0]


def test_versions_and_labels_follow_the_config_file_and_reload_requests(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    base, file = tmp_path / 'models', tmp_path / 'models.config'
    base.mkdir()
    save_version(base, 1, bias=0.0)
    save_version(base, 2, bias=9.0)
    private, public = key_pair(tmp_path)
    for version in ('1', '2'):
        digests.write(str(base / version), key=private)
    file.write_text(config_text(base, 'all {}', {}))
    server = start(
        tmp_path / 'ignored',
        f'--model_config_file={file}',
        '--model_config_file_poll_wait_seconds=0.1',
        f'--digests_key={public}',
    )
    assert 'model colours versions 2 1' in server.ready
    file.write_text(config_text(base, 'all {}', {'stable': 1, 'canary': 2}))
    wait_for(lambda: predict(server, 'colours/labels/stable')[0] == 200)
    first, second = predict(server, 'colours/versions/1'), predict(server, 'colours/versions/2')
    assert first[0] == second[0] == 200
    assert first != second
    assert predict(server, 'colours/labels/stable') == first
    assert predict(server, 'colours/labels/canary') == predict(server, 'colours') == second
    assert predict(server, 'colours/labels/beta') == (
        400,
        'Unrecognized servable version label: beta',
    )
    status, metadata = server.http('GET', '/v1/models/colours/labels/stable/metadata')
    assert (status, metadata['model_spec']['version']) == (200, '1')

    save_version(base, 3)  # not signed
    wait_for(lambda: server.http('GET', '/v1/models/colours/versions/3')[0] == 200)
    wait_for(lambda: state(server, 3)['state'] == 'END')
    assert (
        'must have a digests.json and its signature' in state(server, 3)['status']['error_message']
    )
    assert predict(server, 'colours') == second

    with grpc.insecure_channel(server.grpc) as channel:
        request = predict_request({'image_bytes': [jpeg(BLUE)]})
        request.model_spec.version_label = 'stable'
        predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert predictions.Predict(request, timeout=60).model_spec.version.value == 1

        service = model_service_pb2_grpc.ModelServiceStub(channel)
        reload = model_management_pb2.ReloadConfigRequest()
        model = reload.config.model_config_list.config.add(
            name='other', base_path=str(base), model_platform='tensorflow'
        )
        model.model_version_policy.specific.versions.append(1)
        file.unlink()  # the file would undo the request
        assert service.HandleReloadConfigRequest(reload, timeout=60).status.error_code == 0
        assert predict(server, 'other') == first
        assert predict(server, 'colours')[0] == 404

        model.base_path = '/none'
        with pytest.raises(grpc.RpcError) as caught:
            service.HandleReloadConfigRequest(reload, timeout=60)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "base_path must be a folder, got '/none'" in caught.value.details()
        model.base_path = '/usr'
        with pytest.raises(grpc.RpcError) as caught:
            service.HandleReloadConfigRequest(reload, timeout=60)
        assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert f'base_path must be in {tmp_path}, got /usr' in caught.value.details()
        model.base_path = str(base)
        model.version_labels['stable'] = 7
        with pytest.raises(grpc.RpcError) as caught:
            service.HandleReloadConfigRequest(reload, timeout=60)
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert predict(server, 'other') == first
    assert server.stop() == 0


@pytest.mark.parametrize(
    ('flags', 'reason'),
    [
        (['--enable_profiler'], '--enable_profiler is a flag of TensorFlow Serving that this'),
        (
            ['--model_config_file=/none'],
            '--model_config_file must be an existing file, got',
        ),
        (
            ['--digests_key=/none', f'--model_base_path={ROOT}'],
            '--digests_key must be an existing file, got',
        ),
    ],
)
def test_what_is_not_offered_or_missing_is_one_line(flags: list[str], reason: str) -> None:
    command = [sys.executable, '-m', 'serving.model_server', *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout) == (2, '')
    (line,) = done.stderr.splitlines()
    assert line.startswith(f'error: {reason}')
