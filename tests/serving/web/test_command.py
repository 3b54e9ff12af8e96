import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.running import ROOT


def run_page(*flags: str) -> subprocess.CompletedProcess[str]:
    """Runs a page that is expected to exit."""
    return subprocess.run(
        [sys.executable, '-m', 'serving.web', *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize('gateway', ['127.0.0.1:8080', 'ftp://127.0.0.1', 'http://', 'http://a b'])
def test_the_address_of_the_gateway_is_checked(gateway: str) -> None:
    ended = run_page(f'--gateway={gateway}')
    assert (ended.returncode, ended.stderr) == (
        2,
        f'error: --gateway must be like http://127.0.0.1:8080, got {gateway!r}\n',
    )


def test_a_port_in_use_is_an_error_of_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run_page('--gateway=http://127.0.0.1:1', f'--port={port}')
    assert (ended.returncode, ended.stderr) == (
        2,
        f'error: --port must be free on --host, got 127.0.0.1:{port}: Address already in use\n',
    )
