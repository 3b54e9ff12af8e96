"""Ports for servers that must be told theirs before they take it.

None of those that the system hands out where no port is named: it might hand out one that was found
free to whoever asks next, before its server has it.
"""

import itertools
import os
import socket

_PORTS = range(16_384, 32_768)  # Linux hands out those from 32,768 on, others from 49,152
_turn = itertools.count(101 * os.getpid())  # tests that run side by side begin apart


def free() -> int:
    """A port of this machine that nobody has; in a process, not the same one twice."""
    while True:
        port = _PORTS[next(_turn) % len(_PORTS)]
        with socket.socket() as probe:
            try:
                probe.bind(('127.0.0.1', port))
            except OSError:
                continue
        return port
