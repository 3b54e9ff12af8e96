"""The process of the page: Streamlit with the options of this project."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from streamlit.web import cli

from serving.listening.listener import Listener, bind

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
    bind(listener.host, listener.port).close()  # a port in use is named first
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


def _report_ready(listener: Listener, on_ready: Callable[[str], None]) -> None:
    while True:
        try:
            socket.create_connection((listener.host, listener.port), timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            on_ready(listener.url(listener.port))
            return
