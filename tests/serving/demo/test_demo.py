"""All programs in processes of their own, started by the real command."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from tests.ports import find_free_port
from tests.serving.colours import RED, jpeg, save_version
from tests.serving.running import ROOT


def start_demo(*flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-m', 'serving.demo', *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_open(address: str) -> bool:
    url = httpx.URL(address)
    with socket.socket() as probe:
        return probe.connect_ex((url.host, url.port)) == 0


def test_one_command_starts_all_programs_and_ctrl_c_ends_them(tmp_path: Path) -> None:
    save_version(tmp_path / 'colours', 1)
    flags = (f'--model={tmp_path / "colours"}', f'--logs={tmp_path / "logs"}')
    port = find_free_port()
    demo = start_demo(*flags, f'--port={port}')
    try:
        gateway = re.match(r'gateway (\S+), logs in ', demo.stdout.readline())[1]
        page = re.match(r'open (\S+) in a browser; Ctrl-C ends', demo.stdout.readline())[1]
        assert page == f'http://127.0.0.1:{port}'
        assert '<title>Streamlit' in httpx.get(page).text
        answer = httpx.post(f'{gateway}/predict', files={'file': jpeg(RED)}, timeout=120).json()
        assert answer['confidence'] > 0
        demo.send_signal(signal.SIGINT)
        assert demo.wait(120) == 0
        assert not is_open(gateway)
        assert not is_open(page)
    finally:
        demo.kill()


def test_a_program_that_does_not_start_is_named_with_its_reason(tmp_path: Path) -> None:
    missing, logs = tmp_path / 'missing', tmp_path / 'logs'
    demo = start_demo(f'--model={missing}', f'--logs={logs}', '--port=8090')
    out, err = demo.communicate(timeout=300)
    assert (demo.returncode, out) == (2, '')
    [line] = err.splitlines()
    log = logs / 'model_server.log'
    assert line.startswith(
        f'error: serving.model_server must keep running, ended with exit code 2; {log} ends with: '
    )
    assert str(missing) in line.rpartition(' ends with: ')[2]
