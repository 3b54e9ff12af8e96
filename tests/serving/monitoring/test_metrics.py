"""Metrics and their text, on literals, and those of a running server."""

import re
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from serving.monitoring.exposition import format_metrics
from serving.monitoring.metrics import Histogram, Number
from serving.monitoring.server_metrics import ServerMetrics
from serving.protocol.status import Code, RequestError
from tests.serving.colours import RED, b64, jpeg, predict_request, save_version
from tests.serving.running import PREDICT, ROOT, RunningServer

CONFIG = ROOT / 'serving' / 'tf_serving' / 'monitoring.config'
PATH = '/monitoring/prometheus/metrics'


def test_the_text_has_types_labels_and_cumulative_buckets() -> None:
    counter = Number('requests', 'All requests.', ['model', 'status'])
    counter.add(1, 'a', 'OK')
    counter.add(2, 'a', 'OK')
    counter.add(1, 'say "hi" \\\n', 'OK')
    gauge = Number('queue', 'Rows.', kind='gauge')
    gauge.add(5)
    gauge.add(-2)
    histogram = Histogram('time', 'Time.', ['model'], scale=10, growth=2, buckets=3)
    for value in (1, 10, 10.5, 41):
        histogram.observe(value, 'a')
    assert format_metrics([counter, gauge, histogram]) == (
        '# HELP requests All requests.\n'
        '# TYPE requests counter\n'
        'requests{model="a",status="OK"} 3\n'
        'requests{model="say \\"hi\\" \\\\\\n",status="OK"} 1\n'
        '# HELP queue Rows.\n'
        '# TYPE queue gauge\n'
        'queue{} 3\n'
        '# HELP time Time.\n'
        '# TYPE time histogram\n'
        'time_bucket{model="a",le="10"} 2\n'
        'time_bucket{model="a",le="20"} 3\n'
        'time_bucket{model="a",le="40"} 3\n'
        'time_bucket{model="a",le="+Inf"} 4\n'
        'time_sum{model="a"} 62.5\n'
        'time_count{model="a"} 4\n'
    )


def test_names_from_requests_never_become_labels() -> None:
    metrics = ServerMetrics()
    metrics.for_model('a', runtime='TF1')
    for number in range(50):
        with (
            pytest.raises(RequestError),
            metrics.observe(f'guess-{number}', api='predict', entrypoint='REST'),
        ):
            raise RequestError(Code.NOT_FOUND, '')
    with metrics.observe('a', api='predict', entrypoint='REST'):
        pass
    counts = [line for line in metrics.text().splitlines() if 'request_count{' in line]
    assert counts == [
        ':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"} 50',
        ':tensorflow:serving:request_count{model_name="a",status="OK"} 1',
    ]


def test_a_run_has_the_runtime_of_its_model() -> None:
    metrics = ServerMetrics()
    for name, runtime in (('a', 'TF1'), ('b', 'openvino int8')):
        with metrics.for_model(name, runtime=runtime).observe_run(1, thread_pool_name='pool'):
            pass
    counts = [line for line in metrics.text().splitlines() if 'runtime_latency_count{' in line]
    assert counts == [
        ':tensorflow:serving:runtime_latency_count'
        f'{{model_name="{name}",API="Predict",runtime="{runtime}"}} 1'
        for name, runtime in (('a', 'TF1'), ('b', 'openvino int8'))
    ]


def test_a_server_counts_requests_runs_and_loads(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    save_version(tmp_path, 1)
    server = start(tmp_path, f'--monitoring_config_file={CONFIG}', '--enable_batching')
    body = {'instances': [b64(jpeg(RED)), b64(jpeg(RED))]}
    assert server.http('POST', PREDICT, body)[0] == 200
    assert server.http('POST', PREDICT, {'instances': [b64(b'no picture')]})[0] == 400
    assert server.http('POST', PREDICT.replace('colours', 'none'), body)[0] == 404
    with grpc.insecure_channel(server.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        stub.Predict(predict_request({'image_bytes': [jpeg(RED)]}), timeout=60)
        with pytest.raises(grpc.RpcError):
            stub.Predict(predict_request({}, signature='none'), timeout=60)

    status, content = server.raw_http('GET', PATH)
    assert status == 200
    values = dict(re.findall(r'^([^#\s].*) (\S+)$', content.decode(), re.MULTILINE))
    count = ':tensorflow:serving:request_count'
    assert values[f'{count}{{model_name="colours",status="OK"}}'] == '2'
    assert values[f'{count}{{model_name="colours",status="INVALID_ARGUMENT"}}'] == '1'
    assert values[f'{count}{{model_name="colours",status="FAILED_PRECONDITION"}}'] == '1'
    latency = ':tensorflow:serving:request_latency_count{model_name="colours"'
    assert values[f'{latency},API="predict",entrypoint="REST"}}'] == '2'
    assert values[f'{latency},API="Predict",entrypoint="GRPC"}}'] == '2'
    ours = ':product_categories:serving:signature_latency_count{model_name="colours"'
    assert values[f'{ours},signature="serving_default",status="OK"}}'] == '2'
    assert values[f'{ours},signature="",status="FAILED_PRECONDITION"}}'] == '1'
    assert values[':product_categories:serving:queue_rows{model_name="colours"}'] == '0'
    pool = '{thread_pool_name="model_server_batch_threads"}'
    rows = ':tensorflow:serving:batching_session:processed_batch_size'
    assert values[f'{rows}_count{pool}'] == '4'
    assert values[f'{rows}_sum{pool}'] == '5'
    loads = ':tensorflow:cc:saved_model:load_attempt_count'
    assert values[f'{loads}{{model_path="{tmp_path}/1",status="success"}}'] == '1'
    assert server.raw_http('POST', PATH)[0] == 405
    assert server.raw_http('GET', '/metrics')[0] == 404
    assert server.stop() == 0


def test_without_a_config_there_are_no_metrics(server: RunningServer) -> None:
    assert server.raw_http('GET', PATH)[0] == 404
