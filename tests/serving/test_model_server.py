"""Versions, warm-up, deadlines and the end of the real server process."""

import concurrent.futures
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest

ROOT = Path(__file__).resolve().parents[2]
PREDICT = '/v1/models/colours:predict'
RED = (220, 20, 30)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.05)


def states(server):
    _, answer = server.http('GET', '/v1/models/colours')
    return {int(v['version']): v['state'] for v in answer['model_version_status']}


def predict_log(inputs, signature='serving_default'):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return log.SerializeToString()


def slow_body(rounds):
    return {'signature_name': 'slow', 'inputs': {'rounds': rounds}}


def run_server(*flags):
    return subprocess.run(
        [sys.executable, '-m', 'serving.model_server', *flags],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_new_versions_take_over_under_load_without_a_failed_request(
    save, start, tmp_path, jpeg, b64
):
    base = tmp_path / 'colours'
    base.mkdir()
    warm = predict_log({'image_bytes': [jpeg(RED)]})
    body = json.dumps({'instances': [b64(jpeg(RED))]})
    save(base, 1, bias=0.0, warmups=[warm])
    server = start(base, '--file_system_poll_wait_seconds=0.1', '--rest_api_timeout_in_ms=60000')
    assert 'model colours version 1' in server.ready
    seen, stop = [], []

    def ask():
        while not stop:
            seen.append(server.raw_http('POST', PREDICT, body))

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        askers = [pool.submit(ask) for _ in range(2)]
        slow = pool.submit(server.http, 'POST', PREDICT, slow_body(1500))
        wait_for(lambda: seen)
        save(base, 2, bias=5.0, warmups=[warm, warm])
        wait_for(lambda: states(server).get(2) == 'AVAILABLE')
        slow_status, _ = slow.result()  # asked of version 1, which must live until it is done
        asked = len(seen)
        wait_for(lambda: len(seen) > asked + 5)

        # A version whose variables are cut off, and one whose warm-up the model refuses.
        shutil.copytree(base / '2', tmp_path / 'cut')
        variables = tmp_path / 'cut' / 'variables' / 'variables.data-00000-of-00001'
        variables.write_bytes(variables.read_bytes()[:20])
        (tmp_path / 'cut').rename(base / '3')
        wait_for(lambda: states(server).get(3) == 'END')
        save(base, 4, warmups=[predict_log({'image_bytes': [b'not a picture']})])
        wait_for(lambda: states(server).get(4) == 'END')
        asked = len(seen)
        wait_for(lambda: len(seen) > asked + 5)
        stop.append(True)
        for asker in askers:
            asker.result()

    assert slow_status == 200
    assert {status for status, _ in seen} == {200}
    assert len({content for _, content in seen}) == 2  # version 1's answer, then version 2's
    assert states(server) == {1: 'END', 2: 'AVAILABLE', 3: 'END', 4: 'END'}
    _, answer = server.http('GET', '/v1/models/colours/versions/4')
    (status,) = answer['model_version_status']
    assert status['status']['error_code'] == 'INVALID_ARGUMENT'
    assert 'Unknown image file format' in status['status']['error_message']
    assert server.http('POST', '/v1/models/colours/versions/1:predict', body)[0] == 404

    # Once mended, it is loaded; once removed, the one before it comes back.
    (base / '4' / 'assets.extra' / 'tf_serving_warmup_requests').unlink()
    wait_for(lambda: states(server)[4] == 'AVAILABLE')
    shutil.rmtree(base / '4')
    shutil.rmtree(base / '3')
    wait_for(lambda: states(server)[2] == 'AVAILABLE')
    assert server.raw_http('POST', PREDICT, body) == seen[-1]
    assert server.stop() == 0


def test_a_run_past_its_time_is_stopped_and_the_server_goes_on(save, start, tmp_path, jpeg, b64):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    save(tmp_path, 1)
    server = start(tmp_path, '--rest_api_timeout_in_ms=300')
    forever = 1 << 60
    assert server.http('POST', PREDICT, slow_body(forever))[0] == 504

    request = predict_pb2.PredictRequest()
    request.model_spec.name = 'colours'
    request.model_spec.signature_name = 'slow'
    request.inputs['rounds'].CopyFrom(tf.make_tensor_proto(forever, tf.int64))
    with grpc.insecure_channel(server.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(request, timeout=0.3)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.http('POST', PREDICT, {'instances': [b64(jpeg(RED))]})[0] == 200
    assert server.stop() == 0  # would wait for the runs, had they not been stopped


@pytest.mark.parametrize('transport', ['rest', 'grpc'])
def test_an_accepted_request_is_answered_after_sigterm(save, start, tmp_path, transport):
    save(tmp_path, 1)
    server = start(tmp_path)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        if transport == 'rest':
            answer = pool.submit(server.http, 'POST', PREDICT, slow_body(3000))
        else:
            answer = pool.submit(slow_over_grpc, server, 3000)
        time.sleep(0.5)  # it is under way
        assert not answer.done()
        assert server.stop() == 0
        status, _ = answer.result()
    assert status == 200
    with pytest.raises(ConnectionRefusedError):
        server.http('GET', '/v1/models/colours')


def slow_over_grpc(server, rounds):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = 'colours'
    request.model_spec.signature_name = 'slow'
    request.inputs['rounds'].CopyFrom(tf.make_tensor_proto(rounds, tf.int64))
    with grpc.insecure_channel(server.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return 200, stub.Predict(request, timeout=60)


def test_what_keeps_the_server_from_starting_is_one_line_and_exit_code_2(server, tmp_path, save):
    empty, half = tmp_path / 'empty', tmp_path / 'half'
    empty.mkdir()
    (empty / 'notes').mkdir()
    half.mkdir()
    save(half, 1)
    (half / '1' / 'saved_model.pb').unlink()
    free = ['--port=0', '--rest_api_port=0']
    grpc_port, rest_port = server.grpc.split(':')[1], server.rest.split(':')[1]
    for flags, reason in [
        ([f'--model_base_path={tmp_path}/none', *free], f"folder, got '{tmp_path}/none'"),
        ([f'--model_base_path={empty}', *free], f'{empty}: must hold a version folder'),
        ([f'--model_base_path={half}', *free], f'{half}/1: must be a model that loads'),
        ([f'--model_base_path={half}', f'--port={grpc_port}', '--rest_api_port=0'], '--port: must'),
        ([f'--model_base_path={half}', '--port=0', f'--rest_api_port={rest_port}'], 'rest_api_'),
        ([f'--model_base_path={half}', '--port=70000'], 'port must be in 0..65535, got 70000'),
        (free, '--model_base_path must be given'),
    ]:
        done = run_server(*flags)
        assert done.returncode == 2, done.stderr
        assert done.stdout == ''
        last = done.stderr.splitlines()[-1]
        assert last.startswith('error: ')
        assert reason in last
        assert 'Traceback' not in done.stderr


def test_a_half_open_connection_does_not_keep_others_waiting(server, jpeg, b64):
    host, port = server.rest.split(':')
    with socket.create_connection((host, int(port))) as half:
        half.sendall(b'POST /v1/models/colours:predict HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{')
        assert server.http('POST', PREDICT, {'instances': [b64(jpeg(RED))]})[0] == 200


def test_help_needs_no_tensorflow():
    code = (
        'import runpy, sys\n'
        'try:\n'
        "    runpy.run_module('serving.model_server', run_name='__main__')\n"
        'except SystemExit:\n'
        "    print('LOADED', 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, '-c', code, '--help'],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert 'python -m serving.model_server --model_base_path=' in done.stdout
    assert done.stdout.splitlines()[-1] == 'LOADED False'
