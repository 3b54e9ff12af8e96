"""The command line of the client: the same request over both transports, without TensorFlow."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serving.certificates import make_authority
from tests.serving.colours import BLUE, GREEN, RED, jpeg
from tests.serving.peers import http_server
from tests.serving.running import ROOT, RunningServer

COLOURS = {'red': RED, 'blue': BLUE, 'green': GREEN}


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp('images')
    paths = [folder / f'{name}.jpg' for name in COLOURS]
    for path, colour in zip(paths, COLOURS.values(), strict=True):
        path.write_bytes(jpeg(colour))
    return paths


def query(*flags: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', 'serving.query', *map(str, flags)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def flags_for(server: RunningServer, transport: str) -> list[str]:
    return [
        '--model=colours',
        f'--transport={transport}',
        f'--server={server.rest if transport == "rest" else server.grpc}',
        '--timeout_seconds=60',
    ]


@pytest.mark.parametrize('signature', ['serving_default', 'product'])
def test_both_transports_give_bit_identical_predictions(
    server: RunningServer, module: Any, images: list[Path], tmp_path: Path, signature: str
) -> None:
    written = {}
    for transport in ('rest', 'grpc'):
        file = tmp_path / f'{transport}.json'
        done = query(
            *flags_for(server, transport),
            *(f'--image={path}' for path in images),
            f'--signature={signature}',
            f'--json={file}',
        )
        assert (done.returncode, done.stderr) == (0, '')
        written[transport] = json.loads(file.read_text())
        assert written[transport]['transport'] == transport
        assert written[transport]['model'] == 'colours'
    assert written['rest']['answers'] == written['grpc']['answers']

    pictures = np.array([path.read_bytes() for path in images], object)
    if signature == 'product':
        outputs = module.product(pictures, np.zeros(3, np.int64))
        (answer,) = written['rest']['answers']
        assert answer['images'] == [str(path) for path in images]
        assert answer['level'] == outputs['level'].numpy()[0]
    else:
        outputs = module.serving_default(pictures)
        assert [a['image'] for a in written['rest']['answers']] == [str(p) for p in images]
    for row, answer in enumerate(written['rest']['answers']):
        for rank, prediction in enumerate(answer['predictions']):
            values = {name: outputs[name].numpy()[row, rank] for name in prediction}
            assert prediction == {
                name: value.decode() if isinstance(value, bytes) else value.item()
                for name, value in values.items()
            }


def test_the_printed_predictions_are_readable(server: RunningServer, images: list[Path]) -> None:
    done = query(*flags_for(server, 'grpc'), f'--image={images[0]}')
    assert done.returncode == 0
    first, *rest = done.stdout.splitlines()
    assert first == str(images[0])
    assert len(rest) == 3
    assert rest[0].startswith('  1. ')
    assert '%' in rest[0]
    assert ' > ' in rest[0]
    assert '(category 10000' in rest[0]


def test_a_query_over_grpc_loads_no_tensorflow(server: RunningServer, images: list[Path]) -> None:
    code = (
        'import runpy, sys\n'
        'try:\n'
        "    runpy.run_module('serving.query', run_name='__main__')\n"
        'except SystemExit as end:\n'
        '    assert not end.code, end.code\n'
        "print('LOADED', sorted(m for m in sys.modules if m.startswith(('tensorflow', 'keras'))))"
    )
    done = subprocess.run(
        [
            sys.executable, '-c', code, *flags_for(server, 'grpc'), f'--image={images[0]}',
            '--wait_seconds=5',
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 'category 10000' in done.stdout
    assert done.stdout.splitlines()[-1] == 'LOADED []'


@pytest.mark.parametrize('transport', ['rest', 'grpc'])
def test_user_errors_are_one_line_with_exit_code_2(
    server: RunningServer, images: list[Path], tmp_path: Path, transport: str
) -> None:
    text, cut = tmp_path / 'text.jpg', tmp_path / 'cut.jpg'
    text.write_text('not a picture')
    cut.write_bytes(images[0].read_bytes()[:300])
    valid = flags_for(server, transport)
    image = f'--image={images[0]}'
    for flags, reason in [
        ([*valid, f'--image={text}'], f'{text} must be an image'),
        ([*valid, f'--image={cut}'], 'Invalid JPEG data'),
        ([*valid, f'--image={tmp_path}/none.jpg'], f'{tmp_path}/none.jpg'),
        (valid, '--image must be set'),
        ([*valid, image, '--model=other'], 'Servable not found for request: Latest(other)'),
        ([*valid, image, '--version=9'], 'Servable not found for request: Specific(colours, 9)'),
        ([*valid, image, '--server=nowhere'], "--server must be HOST:PORT, got 'nowhere'"),
        ([*valid, image, '--server=127.0.0.1:1'], '127.0.0.1:1 over '),
        (
            [*valid, image, '--model=other', '--wait_seconds=0.3'],
            'the model must be ready within 0.3 s',
        ),
    ]:
        done = query(*flags, '--json=' + str(tmp_path / 'never.json'))
        assert done.returncode == 2, done.stderr
        assert done.stdout == ''
        assert done.stderr.startswith('error: ')
        assert done.stderr.count('\n') == 1
        assert reason in done.stderr
        assert '{{' not in done.stderr  # no node of a graph
    assert not (tmp_path / 'never.json').exists()


@pytest.mark.parametrize(
    ('transport', 'reason'),
    [('rest', 'over REST: no response within 0.3 s'), ('grpc', 'over gRPC: DEADLINE_EXCEEDED: ')],
)
def test_a_server_that_hangs_is_one_line_with_exit_code_2(
    images: list[Path], transport: str, reason: str
) -> None:
    with socket.create_server(('127.0.0.1', 0)) as hanging:  # accepts connections, never responds
        address = f'127.0.0.1:{hanging.getsockname()[1]}'
        done = query(
            f'--transport={transport}', f'--server={address}',
            f'--image={images[0]}', '--timeout_seconds=0.3',
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.startswith(f'error: {address} {reason}')
    assert done.stderr.count('\n') == 1


def test_a_query_over_rest_to_a_grpc_port_names_the_protocol(images: list[Path]) -> None:
    with socket.create_server(('127.0.0.1', 0)) as listening:

        def respond() -> None:
            connection, _ = listening.accept()
            connection.sendall(bytes([0, 0, 24, 4, *bytes(8), 63, 255, 255]))  # of HTTP/2
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
            connection.close()

        thread = threading.Thread(target=respond)
        thread.start()
        address = f'127.0.0.1:{listening.getsockname()[1]}'
        done = query('--transport=rest', f'--server={address}', f'--image={images[0]}')
        thread.join()
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == (
        f'error: {address} over REST: must respond with HTTP, got another protocol; give the REST '
        'port, or --transport=grpc\n'
    )


def _take_sigint() -> None:
    """A shell that runs the tests in the background has them ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize('transport', ['rest', 'grpc'])
def test_ctrl_c_ends_a_query(images: list[Path], transport: str) -> None:
    with socket.create_server(('127.0.0.1', 0)) as hanging:
        address = f'127.0.0.1:{hanging.getsockname()[1]}'
        flags = [f'--transport={transport}', f'--server={address}', f'--image={images[0]}']
        process = subprocess.Popen(
            [sys.executable, '-m', 'serving.query', *flags, '--timeout_seconds=300'],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_take_sigint,
        )
        connection, _ = hanging.accept()
        with connection:
            connection.recv(1 << 16)  # the query waits for the response
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (130, 'stopped by Ctrl-C\n')


def test_control_characters_of_a_server_are_escaped(images: list[Path]) -> None:
    outputs = {
        'label': [[0]], 'category_id': [[7]], 'confidence': [[0.5]], 'level1': [['\x1b[2JHATS']],
    }  # fmt: skip
    for status, document, text in [
        (200, {'outputs': outputs}, '\\x1b[2JHATS  (category 7)'),
        (400, {'error': 'no \x1b[2Jhats'}, '400 Bad Request: no \\x1b[2Jhats'),
    ]:
        with http_server((status, {}, json.dumps(document).encode())) as server:
            done = query('--transport=rest', f'--server={server.address}', f'--image={images[0]}')
        assert text in done.stdout + done.stderr
        assert '\x1b' not in done.stdout + done.stderr


def test_a_query_is_encrypted_and_authenticated(images: list[Path], tmp_path: Path) -> None:
    authority = make_authority()
    for name, text in [
        ('ca.pem', authority.certificate),
        ('server.pem', authority.server.certificate + authority.server.key),
        ('client.pem', authority.client.certificate),
        ('key.pem', authority.client.key),
        ('token', 'secret\n'),
    ]:
        (tmp_path / name).write_text(text)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / 'ca.pem')
    context.load_cert_chain(tmp_path / 'server.pem')
    context.verify_mode = ssl.CERT_REQUIRED
    outputs = {
        'label': [[0]], 'category_id': [[7]], 'confidence': [[0.5]], 'level1': [['HATS']],
    }  # fmt: skip
    body = json.dumps({'outputs': outputs}).encode()
    with http_server((200, {}, body), context=context) as server:
        flags = ['--transport=rest', f'--server={server.address}', f'--image={images[0]}']
        flags += [f'--ca_file={tmp_path}/ca.pem', f'--certificate_file={tmp_path}/client.pem']
        done = query(*flags, f'--key_file={tmp_path}/key.pem', f'--token_file={tmp_path}/token')
        assert (done.returncode, done.stderr) == (0, '')
        assert done.stdout.endswith('  1.  50.0%  HATS  (category 7)\n')
        assert server.seen[0]['authorization'] == 'Bearer secret'
        for wrong, reason in [
            ((), '--certificate_file and key_file must be set together, got one of them'),
            ((f'--key_file={tmp_path}/token',), f'{tmp_path}/token: must be PEM files that match'),
        ]:
            done = query(*flags, *wrong)
            assert (done.returncode, done.stdout) == (2, '')
            assert reason in done.stderr
            assert ('--' in done.stderr) == reason.startswith('--')
    assert len(server.seen) == 1


def test_help_shows_examples() -> None:
    done = query('--help')
    assert 'python -m serving.query --image=a.jpg' in done.stdout + done.stderr
