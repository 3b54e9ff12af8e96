"""Deadlines, half-open connections and the shutdown of the real server process."""

import concurrent.futures
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import prediction_log_pb2

from tests.ports import find_free_port
from tests.serving.colours import RED, b64, jpeg, predict_request, save_version
from tests.serving.running import PREDICT, RunningServer
from tests.serving.slow_requests import (
    awaited_file,
    inputs,
    started_file,
    wait_for,
    wait_over_grpc,
    wait_over_rest,
)

Start = Callable[..., RunningServer]


def refuses(address: str) -> bool:
    host, port = address.split(':')
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return True
    return False


def test_both_ports_refuse_connections_until_the_model_is_warm(
    start: Start, tmp_path: Path
) -> None:
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request(inputs(tmp_path), signature='wait'))
    save_version(tmp_path, 1, warmups=[log.SerializeToString()])
    ports = [find_free_port(), find_free_port()]
    flags = [f'--port={ports[0]}', f'--rest_api_port={ports[1]}']
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        starting = pool.submit(start, tmp_path, *flags)
        wait_for(started_file(tmp_path).exists)
        early = [refuses(f'127.0.0.1:{port}') for port in ports]
        awaited_file(tmp_path).touch()
        server = starting.result()
    assert early == [True, True]
    assert [server.grpc, server.rest] == [f'127.0.0.1:{port}' for port in ports]
    assert not refuses(server.grpc)


def test_a_run_past_its_deadline_is_stopped_and_the_server_keeps_running(
    start: Start, tmp_path: Path
) -> None:
    save_version(tmp_path, 1)
    server = start(tmp_path, '--rest_api_timeout_in_ms=300')
    assert wait_over_rest(server, tmp_path)[0] == 504

    with pytest.raises(grpc.RpcError) as caught:
        wait_over_grpc(server, tmp_path, timeout_seconds=0.3)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED  # without its flag
    # On a busy machine a run may need more than 0.3 s, so it is repeated.
    wait_for(lambda: server.http('POST', PREDICT, {'instances': [b64(jpeg(RED))]})[0] == 200)
    assert server.stop() == 0  # waits for runs in progress: there are none


@pytest.mark.parametrize('transport', ['rest', 'grpc'])
def test_an_accepted_request_completes_after_sigterm(
    start: Start, tmp_path: Path, transport: str
) -> None:
    save_version(tmp_path, 1)
    server = start(tmp_path)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        if transport == 'rest':
            response = pool.submit(wait_over_rest, server, tmp_path)
        else:
            response = pool.submit(wait_over_grpc, server, tmp_path, timeout_seconds=60)
        wait_for(started_file(tmp_path).exists)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses(server.rest) and refuses(server.grpc))
        assert not response.done()
        awaited_file(tmp_path).touch()
        result = response.result()
    assert server.process.wait(60) == 0
    if transport == 'rest':
        assert result[0] == 200
    else:
        assert len(result.outputs['rounds'].int64_val) == 1


def test_a_half_open_connection_does_not_block_others(server: RunningServer) -> None:
    host, port = server.rest.split(':')
    with socket.create_connection((host, int(port))) as half:
        half.sendall(b'POST /v1/models/colours:predict HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{')
        assert server.http('POST', PREDICT, {'instances': [b64(jpeg(RED))]})[0] == 200
