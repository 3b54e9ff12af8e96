"""Free ports, for servers whose port must be chosen before they start.

They are outside the system's ephemeral range, because the system could assign a port of that range
to another process before the server binds it.
"""

import itertools
import os
import socket

_PORTS = range(16_384, 32_768)  # ephemeral ports start at 32,768 on Linux, at 49,152 elsewhere
_turn = itertools.count(101 * os.getpid())  # parallel test processes start at different ports


def find_free_port() -> int:
    """Returns a free port of this machine, never the same one twice in a process."""
    while True:
        port = _PORTS[next(_turn) % len(_PORTS)]
        with socket.socket() as probe:
            try:
                probe.bind(('127.0.0.1', port))
            except OSError:
                continue
        return port
