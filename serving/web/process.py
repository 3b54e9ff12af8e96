"""The process of the page: Streamlit with the options of this project."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamlit.web import cli

from catalog.errors import UserError

_SCRIPT = Path(__file__).with_name('script.py')
_OPTIONS = {
    'server.headless': 'true',  # opens no browser
    'server.fileWatcherType': 'none',
    'browser.gatherUsageStats': 'false',
    'client.toolbarMode': 'viewer',
    'client.showErrorDetails': 'none',
    'logger.hideWelcomeMessage': 'true',
    'logger.level': 'warning',
}


@dataclass(frozen=True)
class Listener:
    """Where the page listens.

    Attributes:
      host: Address.
      port: Port.
      tls_cert: PEM file of the certificate with its chain; None for HTTP.
      tls_key: PEM file of its private key.
    """

    host: str
    port: int
    tls_cert: str | None = None
    tls_key: str | None = None

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UserError('--tls_cert and --tls_key must be given together, got one of them')

    @property
    def url(self) -> str:
        """The address for a browser."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'http{"s" if self.tls_cert else ""}://{host}:{self.port}'


def serve(
    arguments: Sequence[str],
    listener: Listener,
    *,
    max_photo_mb: int,
    on_ready: Callable[[str], None],
) -> None:
    """Serves the page until SIGTERM or Ctrl-C.

    Args:
      arguments: Arguments of `script`.
      listener: Where to listen.
      max_photo_mb: Largest photo that a browser may send, in MiB.
      on_ready: Receives the address once the port accepts requests.

    Raises:
      UserError: If the port is in use.
    """
    _check_free(listener)
    options = {
        **_OPTIONS,
        'server.address': listener.host,
        'server.port': str(listener.port),
        'server.maxUploadSize': str(max_photo_mb),
    }
    if listener.tls_cert and listener.tls_key:
        options |= {
            'server.sslCertFile': listener.tls_cert,
            'server.sslKeyFile': listener.tls_key,
        }
    threading.Thread(target=_report_ready, args=(listener, on_ready), daemon=True).start()
    flags = [f'--{name}={value}' for name, value in options.items()]
    sys.argv = ['streamlit', 'run', str(_SCRIPT), *flags, '--', *arguments]
    cli.main(standalone_mode=False)


def _check_free(listener: Listener) -> None:
    family = socket.AF_INET6 if ':' in listener.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listener.host, listener.port))
        except OSError as error:
            raise UserError(
                f'--port must be free on --host, got {listener.host}:{listener.port}: '
                f'{error.strerror}'
            ) from error


def _report_ready(listener: Listener, on_ready: Callable[[str], None]) -> None:
    while True:
        try:
            socket.create_connection((listener.host, listener.port), timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            on_ready(listener.url)
            return
