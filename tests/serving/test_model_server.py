"""Versions, warm-up, deadlines and the end of the real server process."""

import concurrent.futures
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import prediction_log_pb2, prediction_service_pb2_grpc

from tests.serving.colours import RED, b64, jpeg, predict_request, save_version
from tests.serving.running import ROOT, RunningServer

PREDICT = '/v1/models/colours:predict'

Start = Callable[..., RunningServer]


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.05)


def states(server: RunningServer) -> dict[int, str]:
    _, answer = server.http('GET', '/v1/models/colours')
    return {int(v['version']): v['state'] for v in answer['model_version_status']}


def warmup(picture: bytes) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request({'image_bytes': [picture]}))
    return log.SerializeToString()


def begun(folder: Path) -> Path:
    """The file that tells that the answer to `wait` is under way."""
    return folder / 'begun'


def awaited(folder: Path) -> Path:
    """The file without which there is no answer to `wait`."""
    return folder / 'awaited'


def wait_inputs(folder: Path) -> dict[str, str]:
    return {'begun': str(begun(folder)), 'awaited': str(awaited(folder))}


def wait_over_rest(server: RunningServer, folder: Path) -> tuple[int, Any]:
    body = {'signature_name': 'wait', 'inputs': wait_inputs(folder)}
    return server.http('POST', PREDICT, body)


def wait_over_grpc(server: RunningServer, folder: Path, *, timeout: float) -> Any:
    with grpc.insecure_channel(server.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return stub.Predict(predict_request(wait_inputs(folder), signature='wait'), timeout=timeout)


def refuses(address: str) -> bool:
    host, port = address.split(':')
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return True
    return False


def run_server(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', 'serving.model_server', *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_new_versions_take_over_under_load_without_a_failed_request(
    start: Start, tmp_path: Path
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

    def ask() -> None:
        while not stop:
            seen.append(server.raw_http('POST', PREDICT, body))

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        askers = [pool.submit(ask) for _ in range(2)]
        slow = pool.submit(wait_over_rest, server, tmp_path)
        wait_for(lambda: seen and begun(tmp_path).exists())
        save_version(base, 2, bias=5.0, warmups=[warm, warm])
        wait_for(lambda: states(server).get(2) == 'AVAILABLE')
        # Asked of version 1, which must live until it is done.
        assert states(server)[1] == 'UNLOADING'
        awaited(tmp_path).touch()
        slow_status, _ = slow.result()
        asked = len(seen)
        wait_for(lambda: len(seen) > asked + 5)

        # A version whose variables are cut off, and one whose warm-up the model refuses.
        shutil.copytree(base / '2', tmp_path / 'cut')
        variables = tmp_path / 'cut' / 'variables' / 'variables.data-00000-of-00001'
        variables.write_bytes(variables.read_bytes()[:20])
        (tmp_path / 'cut').rename(base / '3')
        wait_for(lambda: states(server).get(3) == 'END')
        save_version(base, 4, warmups=[warmup(b'not a picture')])
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


def test_a_run_past_its_time_is_stopped_and_the_server_goes_on(
    start: Start, tmp_path: Path
) -> None:
    save_version(tmp_path, 1)
    server = start(tmp_path, '--rest_api_timeout_in_ms=300')
    assert wait_over_rest(server, tmp_path)[0] == 504

    with pytest.raises(grpc.RpcError) as caught:
        wait_over_grpc(server, tmp_path, timeout=0.3)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    # A machine that is busy may need more than one turn of 0.3 s.
    wait_for(lambda: server.http('POST', PREDICT, {'instances': [b64(jpeg(RED))]})[0] == 200)
    assert server.stop() == 0  # would wait for the runs, had they not been stopped


@pytest.mark.parametrize('transport', ['rest', 'grpc'])
def test_an_accepted_request_is_answered_after_sigterm(
    start: Start, tmp_path: Path, transport: str
) -> None:
    save_version(tmp_path, 1)
    server = start(tmp_path)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        if transport == 'rest':
            answer = pool.submit(wait_over_rest, server, tmp_path)
        else:
            answer = pool.submit(wait_over_grpc, server, tmp_path, timeout=60)
        wait_for(begun(tmp_path).exists)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses(server.rest) and refuses(server.grpc))
        assert not answer.done()
        awaited(tmp_path).touch()
        answered = answer.result()
    assert server.process.wait(60) == 0
    if transport == 'rest':
        assert answered[0] == 200
    else:
        assert len(answered.outputs['rounds'].int64_val) == 1


def test_what_keeps_the_server_from_starting_is_one_line_and_exit_code_2(
    server: RunningServer, tmp_path: Path
) -> None:
    empty, half = tmp_path / 'empty', tmp_path / 'half'
    empty.mkdir()
    (empty / 'notes').mkdir()
    half.mkdir()
    save_version(half, 1)
    (half / '1' / 'saved_model.pb').unlink()
    free = ['--port=0', '--rest_api_port=0']
    grpc_port, rest_port = server.grpc.split(':')[1], server.rest.split(':')[1]
    cases = [
        ([f'--model_base_path={tmp_path}/none', *free], f"folder, got '{tmp_path}/none'"),
        ([f'--model_base_path={empty}', *free], f'{empty}: must hold a version folder'),
        ([f'--model_base_path={half}', *free], f'{half}/1: must be a model that loads'),
        ([f'--model_base_path={half}', f'--port={grpc_port}', '--rest_api_port=0'], '--port: must'),
        ([f'--model_base_path={half}', '--port=0', f'--rest_api_port={rest_port}'], 'rest_api_'),
        ([f'--model_base_path={half}', '--port=70000'], 'port must be in 0..65535, got 70000'),
        (free, '--model_base_path must be given'),
    ]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(lambda case: run_server(*case[0]), cases))
    for done, (_, reason) in zip(ended, cases, strict=True):
        assert done.returncode == 2, done.stderr
        assert done.stdout == ''
        last = done.stderr.splitlines()[-1]
        assert last.startswith('error: ')
        assert reason in last
        assert 'Traceback' not in done.stderr


def test_a_server_whose_ready_line_nobody_can_read_ends(tmp_path: Path) -> None:
    save_version(tmp_path, 1)
    flags = [f'--model_base_path={tmp_path}', '--port=0', '--rest_api_port=0']
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, '-m', 'serving.model_server', *flags],
        cwd=ROOT,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    try:
        _, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 2
    assert errors.splitlines()[-1].startswith('error: Broken pipe')


def test_a_half_open_connection_does_not_keep_others_waiting(server: RunningServer) -> None:
    host, port = server.rest.split(':')
    with socket.create_connection((host, int(port))) as half:
        half.sendall(b'POST /v1/models/colours:predict HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{')
        assert server.http('POST', PREDICT, {'instances': [b64(jpeg(RED))]})[0] == 200


def test_help_shows_examples() -> None:
    assert 'python -m serving.model_server --model_base_path=' in run_server('--help').stdout
