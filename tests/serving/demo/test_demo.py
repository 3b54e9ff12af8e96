"""All programs in processes of their own, started by the real command."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from catalog.errors import UserError
from serving.demo import processes, served_model
from serving.similar import index_info
from serving.similar.index_info import IndexInfo, IndexOptions, ModelIdentity
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
    for version in (1, 2):  # the newer one is not served
        save_version(tmp_path / 'colours', version)
    flags = (f'--model={tmp_path / "colours" / "1"}', f'--logs={tmp_path / "logs"}')
    port = find_free_port()
    demo = start_demo(*flags, f'--port={port}')
    try:
        assert demo.stdout.readline() == 'model colours version 1, SavedModel\n'
        gateway = re.match(r'gateway (\S+), logs in ', demo.stdout.readline())[1]
        page = re.match(r'open (\S+) in a browser; Ctrl-C ends', demo.stdout.readline())[1]
        assert page == f'http://127.0.0.1:{port}'
        assert '<title>Streamlit' in httpx.get(page).text
        answer = httpx.post(f'{gateway}/predict', files={'file': jpeg(RED)}, timeout=120).json()
        assert answer['confidence'] > 0
        product = httpx.post(
            f'{gateway}/v1/products:classify', files={'files': jpeg(RED)}, timeout=120
        ).json()
        assert product['model'] == {'name': 'colours', 'version': '1'}

        log = (tmp_path / 'logs' / 'gateway.log').read_text()
        for other, rule in [
            (port, f'--port must be free on --host, got 127.0.0.1:{port}'),
            (find_free_port(), f'{tmp_path}/logs: only one process at a time may write here'),
        ]:
            second = start_demo(*flags, f'--port={other}')
            out, err = second.communicate(timeout=300)
            assert (second.returncode, out) == (2, '')
            assert err.startswith(f'error: {rule}')
        assert (tmp_path / 'logs' / 'gateway.log').read_text().startswith(log)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(120) == 0
        assert not is_open(gateway)
        assert not is_open(page)
    finally:
        demo.kill()


def test_a_program_that_does_not_start_is_named_with_its_reason(tmp_path: Path) -> None:
    empty, logs = tmp_path / 'empty' / '1', tmp_path / 'logs'
    empty.mkdir(parents=True)
    demo = start_demo(f'--model={empty}', f'--logs={logs}', f'--port={find_free_port()}')
    out, err = demo.communicate(timeout=300)
    assert (demo.returncode, out) == (2, '')
    [line] = err.splitlines()
    log = logs / 'model_server.log'
    assert line.startswith(
        'error: serving.model_server must keep running, but ended with exit code 2; '
        f'{log} ends with: '
    )
    assert str(empty) in line.rpartition(' ends with: ')[2]


def test_a_program_that_was_killed_is_described_in_plain_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'killed.py').write_text('import os; os.kill(os.getpid(), 9)')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    with processes.running(tmp_path) as started, pytest.raises(UserError) as error:
        started.start('killed', [])
    assert str(error.value).startswith(
        'killed must keep running, but was killed (SIGKILL, perhaps for want of memory); '
    )


def test_an_index_of_another_version_of_the_model_is_named(tmp_path: Path) -> None:
    model = served_model.read('models/colours/2')
    (tmp_path / '1').mkdir()
    info = IndexInfo(
        model=ModelIdentity('colours', 1, 'a' * 64),
        data_sha256='b' * 64,
        options=IndexOptions(splits=('train',), thumbnail_pixels=160),
        library='faiss',
        products=1,
        dimensions=3,
        left_out=0,
    )
    index_info.write(info, str(tmp_path / '1'))
    assert served_model.read('models/colours/1').misfit(str(tmp_path)) is None
    assert (model.misfit(str(tmp_path)) or '').startswith(
        f'{tmp_path} is of version 1 of the model; build one of version 2 with serving.index'
    )
