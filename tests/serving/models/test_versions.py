"""Versions: hot reload, warm-up, failed versions, as the real server process does them."""

import concurrent.futures
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from tensorflow_serving.apis import prediction_log_pb2

from serving.config.models import ModelConfig
from serving.models.loading import Loader
from serving.models.models import Models
from serving.models.spec import ModelSpec
from tests.serving.colours import RED, b64, jpeg, predict_request, save_version
from tests.serving.running import PREDICT, RunningServer
from tests.serving.slow_requests import awaited_file, started_file, wait_for, wait_over_rest


def states(server: RunningServer) -> dict[int, str]:
    _, response = server.http('GET', '/v1/models/colours')
    return {int(v['version']): v['state'] for v in response['model_version_status']}


def warmup(picture: bytes) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request({'image_bytes': [picture]}))
    return log.SerializeToString()


def test_a_folder_whose_number_is_not_an_int64_is_skipped_with_one_line(tmp_path: Path) -> None:
    save_version(tmp_path, 1)
    for name in ('9223372036854775808', '20261129134500123456', '9' * 200, '1.tmp', 'notes'):
        (tmp_path / name).mkdir()
    lines: list[str] = []
    models = Models(loader=Loader(), report=lines.append)
    models.configure([ModelConfig('colours', str(tmp_path))])
    assert models.available == {'colours': [1]}
    models.poll()
    skipped = [line for line in lines if line.startswith('skipped ')]
    assert skipped == [
        f'skipped {tmp_path}/{name}: a version must be at most 9223372036854775807'
        for name in ('20261129134500123456', '9223372036854775808', '9' * 200)
    ]
    assert [status.version for status in models.statuses(ModelSpec('colours'))] == [1]


def test_a_version_that_is_loaded_again_stays_available(tmp_path: Path) -> None:
    save_version(tmp_path, 1)
    models = Models(loader=Loader(), report=print)
    models.configure([ModelConfig('colours', str(tmp_path))])
    with models.use(ModelSpec('colours')):
        save_version(tmp_path, 2)
        models.poll()
        shutil.rmtree(tmp_path / '2')
        models.poll()
    states = {status.version: status.state for status in models.statuses(ModelSpec('colours'))}
    assert states == {1: 'AVAILABLE', 2: 'END'}


def test_new_versions_replace_old_ones_under_load_without_a_failed_request(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    base = tmp_path / 'colours'
    base.mkdir()
    warm = warmup(jpeg(RED))
    body = json.dumps({'instances': [b64(jpeg(RED))]})
    save_version(base, 1, bias=0.0, warmups=[warm])
    server = start(base, '--file_system_poll_wait_seconds=0.1', '--rest_api_timeout_in_ms=600000')
    assert 'model colours version 1' in server.ready
    seen: list[tuple[int, bytes]] = []
    stop: list[bool] = []

    def send_requests() -> None:
        while not stop:
            seen.append(server.raw_http('POST', PREDICT, body))

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        senders = [pool.submit(send_requests) for _ in range(2)]
        slow = pool.submit(wait_over_rest, server, tmp_path)
        wait_for(lambda: seen and started_file(tmp_path).exists())
        save_version(base, 2, bias=5.0, warmups=[warm, warm])
        wait_for(lambda: states(server).get(2) == 'AVAILABLE')
        # The slow request uses version 1, which must stay loaded until it completes.
        assert states(server)[1] == 'UNLOADING'
        awaited_file(tmp_path).touch()
        slow_status, _ = slow.result()
        count = len(seen)
        wait_for(lambda: len(seen) > count + 5)

        # A version with truncated variables, and one whose warm-up request the model rejects.
        shutil.copytree(base / '2', tmp_path / 'truncated')
        variables = tmp_path / 'truncated' / 'variables' / 'variables.data-00000-of-00001'
        variables.write_bytes(variables.read_bytes()[:20])
        (tmp_path / 'truncated').rename(base / '3')
        wait_for(lambda: states(server).get(3) == 'END')
        save_version(base, 4, warmups=[warmup(b'not a picture')])
        wait_for(lambda: states(server).get(4) == 'END')
        count = len(seen)
        wait_for(lambda: len(seen) > count + 5)
        stop.append(True)
        for sender in senders:
            sender.result()

    assert slow_status == 200
    assert {status for status, _ in seen} == {200}
    assert len({content for _, content in seen}) == 2  # one response per version
    assert states(server) == {1: 'END', 2: 'AVAILABLE', 3: 'END', 4: 'END'}
    _, response = server.http('GET', '/v1/models/colours/versions/4')
    (status,) = response['model_version_status']
    assert status['status']['error_code'] == 'INVALID_ARGUMENT'
    assert 'Unknown image file format' in status['status']['error_message']
    assert server.http('POST', '/v1/models/colours/versions/1:predict', body)[0] == 404

    # A repaired version is loaded; when it is removed, the previous version is served again.
    (base / '4' / 'assets.extra' / 'tf_serving_warmup_requests').unlink()
    wait_for(lambda: states(server)[4] == 'AVAILABLE')
    shutil.rmtree(base / '4')
    shutil.rmtree(base / '3')
    wait_for(lambda: states(server)[2] == 'AVAILABLE')
    assert server.raw_http('POST', PREDICT, body) == seen[-1]
    assert server.stop() == 0
