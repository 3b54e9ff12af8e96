"""Faults before and behind the gateway, injected into real processes."""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.ports import find_free_port
from tests.serving.colours import BLUE, RED, jpeg, save_version
from tests.serving.gateway.running import RunningGateway, start_gateway
from tests.serving.running import RunningServer, start_server
from tests.serving.slow_requests import wait_for

Start = Callable[..., RunningGateway]


@pytest.fixture
def held(hold: Path) -> Iterator[Path]:
    """The model `slow` answers only after this file is deleted."""
    hold.touch()
    yield hold
    hold.unlink(missing_ok=True)


def test_without_a_server_the_gateway_runs_and_reports_it(start: Start) -> None:
    gateway = start(f'127.0.0.1:{find_free_port()}')
    assert gateway.get('/healthz').status_code == 200
    for response in (gateway.get('/readyz'), gateway.predict(jpeg(RED))):
        assert response.status_code == 503
        assert int(response.headers['Retry-After']) > 0
        assert response.json()['error'].startswith('The model is not ')
    assert gateway.metric('gateway_model_ready') == 0


def test_an_unknown_model_is_not_ready(start: Start, models: RunningServer) -> None:
    gateway = start(models.grpc, '--model=absent')
    assert gateway.get('/readyz').status_code == 503
    assert gateway.predict(jpeg(RED)).status_code == 503


def test_a_reload_fails_no_request_and_a_restarted_server_is_used_again(
    start: Start, tmp_path: Path
) -> None:
    port = find_free_port()
    flags = (f'--port={port}', '--file_system_poll_wait_seconds=0.1')
    save_version(tmp_path, 1)
    server = start_server(tmp_path, *flags)
    gateway = start(f'127.0.0.1:{port}')

    def version() -> str:
        response = gateway.classify({'a.jpg': jpeg(RED)})
        assert response.status_code == 200
        return response.json()['model']['version']

    assert version() == '1'
    save_version(tmp_path, 2, bias=3.0)
    wait_for(lambda: version() == '2')  # every answer in between is asserted

    server.kill()
    response = gateway.predict(jpeg(RED))
    assert (response.status_code, response.json()['reason']) == (503, 'model_unavailable')
    assert gateway.get('/readyz').status_code == 503

    server = start_server(tmp_path, *flags)
    try:
        wait_for(lambda: gateway.get('/readyz').status_code == 200)
        assert version() == '2'
    finally:
        server.kill()


def test_a_slow_model_is_an_error_within_the_deadline(
    start: Start, models: RunningServer, held: Path
) -> None:
    gateway = start(models.grpc, '--model=slow', '--timeout_seconds=1')
    response = gateway.predict(jpeg(RED))
    assert (response.status_code, response.json()['reason']) == (504, 'model_late')
    held.unlink()
    wait_for(lambda: gateway.predict(jpeg(RED)).status_code == 200)


def test_overload_is_refused_at_once_and_the_accepted_requests_are_answered(
    start: Start, models: RunningServer, held: Path
) -> None:
    gateway = start(
        models.grpc, '--model=slow', '--max_running=1', '--max_waiting=1', '--timeout_seconds=300'
    )
    with ThreadPoolExecutor(8) as pool:
        accepted = [pool.submit(gateway.predict, jpeg(RED))]
        wait_for(lambda: gateway.metric('gateway_running_requests') == 1)
        accepted.append(pool.submit(gateway.predict, jpeg(BLUE)))
        wait_for(lambda: gateway.metric('gateway_waiting_requests') == 1)

        refused = list(pool.map(gateway.predict, [jpeg(RED)] * 6))
        assert {response.status_code for response in refused} == {429}
        assert all(int(response.headers['Retry-After']) > 0 for response in refused)
        assert refused[0].json()['reason'] == 'queue_full'
        assert gateway.get('/healthz').status_code == 200
        assert not any(future.done() for future in accepted)

        held.unlink()
        assert [future.result().status_code for future in accepted] == [200, 200]
    assert gateway.metric('gateway_errors_total{reason="queue_full"}') == 6


def test_after_sigterm_accepted_requests_are_answered_and_the_exit_code_is_0(
    start: Start, models: RunningServer, held: Path
) -> None:
    seconds = ('--timeout_seconds=300', '--drain_seconds=300', '--unready_seconds=300')
    gateway = start(models.grpc, '--model=slow', *seconds)
    with ThreadPoolExecutor(3) as pool:
        accepted = [pool.submit(gateway.predict, jpeg(RED)) for _ in range(2)]
        wait_for(lambda: gateway.metric('gateway_running_requests') == 2)
        gateway.terminate()
        wait_for(lambda: gateway.get('/readyz').status_code == 503)
        assert gateway.get('/readyz').json()['reason'] == 'stopping'
        accepted.append(pool.submit(gateway.predict, jpeg(RED)))  # from a proxy that knows not yet
        wait_for(lambda: gateway.metric('gateway_running_requests') == 3)
        gateway.terminate()  # the second signal ends the time for proxies
        wait_for(lambda: refuses_connections(gateway))
        held.unlink()
        assert [future.result().status_code for future in accepted] == [200, 200, 200]
    assert gateway.process.wait(60) == 0


def test_a_request_that_never_ends_does_not_stop_the_gateway_from_ending(
    start: Start, models: RunningServer, held: Path
) -> None:
    gateway = start(models.grpc, '--model=slow', '--timeout_seconds=300', '--drain_seconds=1')
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(gateway.predict, jpeg(RED))
        wait_for(lambda: gateway.metric('gateway_running_requests') == 1)
        gateway.terminate()
        assert gateway.process.wait(60) == 0
        with contextlib.suppress(httpx.HTTPError):  # or the connection ends
            assert late.result().status_code >= 500


def refuses_connections(gateway: RunningGateway) -> bool:
    try:
        gateway.get('/healthz')
    except httpx.ConnectError:
        return True
    return False


HEAD = b'POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n'


@pytest.mark.parametrize(
    ('sent', 'answer'),
    [
        (b'', None),
        (HEAD, None),
        (HEAD + b'Content-Length: 1000\r\n\r\n--x\r\n', 408),
        (HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n--x\r\n\r\n', 408),
    ],
    ids=['nothing', 'headers', 'body', 'chunks'],
)
def test_a_client_that_drips_is_cut_off_and_others_are_unaffected(
    patient: RunningGateway, sent: bytes, answer: int | None
) -> None:
    address = httpx.URL(patient.address)
    with socket.create_connection((address.host, address.port), timeout=120) as client:
        client.sendall(sent)
        assert patient.predict(jpeg(RED)).status_code == 200
        received = drip(client)
    if answer is None:
        assert received == b''
    else:
        head, _, body = received.partition(b'\r\n\r\n')
        assert head.startswith(f'HTTP/1.1 {answer} '.encode())
        assert json.loads(body)['reason'] == 'slow_upload'


@pytest.fixture(scope='module')
def patient(
    models: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """A gateway that receives a request for a second."""
    running = start_gateway(
        models.grpc, tmp_path_factory.mktemp('patient') / 'log', '--upload_seconds=1'
    )
    yield running
    running.kill()


def drip(client: socket.socket) -> bytes:
    """Sends a byte now and then until the server closes the connection; returns what it sent."""
    received = b''
    end = time.monotonic() + 300
    client.settimeout(0.2)
    while time.monotonic() < end:
        try:
            client.sendall(b'a')
            data = client.recv(1 << 16)
        except TimeoutError:
            continue
        except OSError:  # the server reset the connection
            return received
        if not data:
            return received
        received += data
    pytest.fail('the server kept the connection for 300 s')
