"""Waits until the processes of a run can reach each other, before TensorFlow starts.

TensorFlow itself waits for processes that have not started, but it names none of them, and it
handles SIGTERM meanwhile. So each process first listens at its own port, and connects to the ports
of all others to send its index. TensorFlow takes the port over once all have exchanged theirs.
"""

import contextlib
import socket
import sys
import time

from catalog.errors import UserError
from trainer.distribution.cluster import Cluster

REPORT_SECONDS = 30.0
LIMIT_SECONDS = 900.0  # machines in a cloud may start minutes apart

_CONNECT_SECONDS = 1.0
_ACCEPT_SECONDS = 0.1
_LINGER_SECONDS = 5.0  # for processes that this one has reached, and that have not reached it
_GREETING_BYTES = 8


def wait_for_peers(
    cluster: Cluster,
    *,
    report_seconds: float = REPORT_SECONDS,
    limit_seconds: float = LIMIT_SECONDS,
) -> None:
    """Returns once this process has reached every other one. Signals end it as usual.

    Args:
      cluster: The place of this process.
      report_seconds: Time after which absent processes are named on standard error.
      limit_seconds: Longest time to wait.

    Raises:
      UserError: If the own port is in use, or a process cannot be reached within the limit.
    """
    if cluster.count == 1:
        return
    others = {index for index in range(cluster.count) if index != cluster.index}
    absent = dict.fromkeys(others, '')
    greeted: set[int] = set()
    start = time.monotonic()
    reported = False
    with _listen(cluster) as server:
        while absent := _greet(absent, cluster):
            greeted |= _accept(server)
            waited = time.monotonic() - start
            if waited > limit_seconds:
                raise UserError(
                    f'worker {cluster.index}: all {cluster.count} workers must start within '
                    f'{limit_seconds / 60:.0f} minutes, cannot reach {_names(absent, cluster)}; '
                    'see their logs and TF_CONFIG, then start all workers again'
                )
            if waited > report_seconds and not reported:
                print(
                    f'warning: worker {cluster.index} still waits for {len(absent)} of '
                    f'{cluster.count} workers: cannot reach {_names(absent, cluster)}',
                    file=sys.stderr,
                    flush=True,
                )
                reported = True
        end = time.monotonic() + _LINGER_SECONDS
        while not others <= greeted and time.monotonic() < end:
            greeted |= _accept(server)


def _listen(cluster: Cluster) -> socket.socket:
    """Opens the own port on all interfaces, as TensorFlow does."""
    address = cluster.addresses[cluster.index]
    _, port = _split(address)
    try:
        try:
            server = socket.create_server(
                ('', port), family=socket.AF_INET6, backlog=cluster.count, dualstack_ipv6=True
            )
        except (OSError, ValueError):  # this machine has no IPv6
            server = socket.create_server(('', port), backlog=cluster.count)
    except (OSError, OverflowError) as error:
        raise UserError(
            f'worker {cluster.index}: its port in TF_CONFIG must be free, got {address}: '
            f'{_reason(error)}'
        ) from error
    server.settimeout(_ACCEPT_SECONDS)
    return server


def _greet(absent: dict[int, str], cluster: Cluster) -> dict[int, str]:
    """Sends the own index to processes; returns those that cannot be reached, with the reason."""
    found = {}
    for index in absent:
        address = _split(cluster.addresses[index])
        try:
            with socket.create_connection(address, timeout=_CONNECT_SECONDS) as client:
                client.sendall(b'%d\n' % cluster.index)
        except (OSError, OverflowError, UnicodeError) as error:
            found[index] = _reason(error)
    return found


def _accept(server: socket.socket) -> set[int]:
    """Returns the index that a process sends within `_ACCEPT_SECONDS`, if one does."""
    with contextlib.suppress(OSError, ValueError):
        client, _ = server.accept()
        with client:
            client.settimeout(_ACCEPT_SECONDS)
            return {int(client.recv(_GREETING_BYTES))}
    return set()


def _names(absent: dict[int, str], cluster: Cluster) -> str:
    return ', '.join(f'{cluster.addresses[index]} ({why})' for index, why in absent.items())


def _reason(error: Exception) -> str:
    return getattr(error, 'strerror', None) or str(error)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(':')
    return host.removeprefix('[').removesuffix(']'), int(port)
