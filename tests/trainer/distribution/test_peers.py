"""Processes of a run that wait for each other."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from catalog.errors import UserError
from tests import ports
from trainer.distribution.cluster import Cluster
from trainer.distribution.peers import wait_for_peers


def _addresses(count: int) -> tuple[str, ...]:
    return tuple(f'127.0.0.1:{ports.find_free_port()}' for _ in range(count))


def _connects(address: str) -> bool:
    host, port = address.split(':')
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0


def test_processes_that_start_one_after_another_reach_each_other() -> None:
    addresses = _addresses(3)
    with ThreadPoolExecutor(3) as pool:
        waits = [pool.submit(wait_for_peers, Cluster(0, addresses), limit_seconds=60)]
        while not _connects(addresses[0]):
            time.sleep(0.01)
        for index in (1, 2):
            assert not any(each.done() for each in waits)
            waits.append(pool.submit(wait_for_peers, Cluster(index, addresses), limit_seconds=60))
        for each in waits:
            each.result(timeout=60)
    for address in addresses:  # TensorFlow takes it over
        socket.create_server(('', int(address.split(':')[1]))).close()


def test_a_process_alone_waits_for_nobody() -> None:
    wait_for_peers(Cluster())


def test_an_absent_process_is_named_once_and_ends_the_wait(
    capsys: pytest.CaptureFixture[str],
) -> None:
    own, absent = _addresses(2)
    with pytest.raises(UserError, match=rf'cannot reach {absent} \(Connection refused\)'):
        wait_for_peers(Cluster(0, (own, absent)), report_seconds=0, limit_seconds=0.5)
    warning = 'warning: worker 0 still waits for 1 of 2 workers: '
    assert capsys.readouterr().err == f'{warning}cannot reach {absent} (Connection refused)\n'


def test_a_host_whose_name_is_unknown_is_named() -> None:
    (own,) = _addresses(1)
    with pytest.raises(UserError, match=r'cannot reach no-such-host\.invalid:2222 \(.+\); see'):
        wait_for_peers(Cluster(0, (own, 'no-such-host.invalid:2222')), limit_seconds=0)


def test_a_port_in_use_is_an_error() -> None:
    addresses = _addresses(2)
    with (
        socket.create_server(('127.0.0.1', int(addresses[1].split(':')[1]))),
        pytest.raises(
            UserError, match=f'worker 1: its port in TF_CONFIG must be free, got {addresses[1]}: '
        ),
    ):
        wait_for_peers(Cluster(1, addresses))
