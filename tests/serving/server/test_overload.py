"""More requests than the server may hold are refused at once, with a hint when to retry."""

import concurrent.futures
import json
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.serving.colours import RED, b64, jpeg, predict_request, save_version
from tests.serving.running import PREDICT, ROOT, RunningServer
from tests.serving.slow_requests import awaited_file, started_file, wait_for, wait_over_grpc

BATCHING = ROOT / 'serving' / 'tf_serving' / 'batching_parameters.txt'


def test_a_request_beyond_the_limit_is_told_to_retry(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    save_version(tmp_path, 1)
    server = start(
        tmp_path,
        '--enable_batching',
        f'--batching_parameters_file={BATCHING}',
        '--grpc_max_threads=4',  # of which one is left to refuse
        '--rest_api_num_threads=4',
    )
    slow = [tmp_path / f'slow-{number}' for number in range(3)]
    request = predict_request({'image_bytes': [jpeg(RED)]})
    with (
        concurrent.futures.ThreadPoolExecutor(3) as pool,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        running = []
        for folder in slow:
            folder.mkdir()
            running.append(pool.submit(wait_over_grpc, server, folder, timeout_seconds=300))
            wait_for(started_file(folder).exists)

        connection = HTTPConnection(server.rest, timeout=60)
        connection.request('POST', PREDICT, predict_body())
        response = connection.getresponse()
        assert response.status == 429
        assert int(response.headers['Retry-After']) >= 1
        assert b'3 requests are already running or waiting' in response.read()
        connection.close()
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(request, timeout=60)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        hints = dict(caught.value.trailing_metadata())
        assert int(hints['grpc-retry-pushback-ms']) >= 1
        assert server.http('GET', '/v1/models/colours')[0] == 200

        for folder in slow:
            awaited_file(folder).touch()
        for future in running:
            assert len(future.result(timeout=300).outputs['rounds'].int64_val) == 1
        assert len(stub.Predict(request, timeout=60).outputs['label'].int64_val) == 3
    assert server.http('POST', PREDICT, predict_body())[0] == 200
    assert server.stop() == 0


def predict_body() -> str:
    return json.dumps({'instances': [b64(jpeg(RED))]})
