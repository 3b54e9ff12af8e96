"""A client loads no TensorFlow, which takes seconds and hundreds of megabytes."""

import subprocess
import sys

import pytest

from tests.serving.running import ROOT, RunningServer


@pytest.mark.parametrize('room', ['protocol', 'operations', 'transports', 'clients', 'query'])
def test_importing_a_room_of_the_client_loads_no_tensorflow(room: str) -> None:
    files = sorted((ROOT / 'serving' / room).rglob('*.py'))
    modules = [f'serving.{room}.{path.stem}' for path in files if path.stem != '__init__']
    assert modules
    code = f'import sys, {", ".join(modules)}; print(*{{n.split(".")[0] for n in sys.modules}})'
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not {'tensorflow', 'tensorflow_serving', 'keras'} & set(done.stdout.split())


def test_the_clients_work_where_tensorflow_is_not_installed(server: RunningServer) -> None:
    code = (
        'import sys\n'
        "for name in ('tensorflow', 'tensorflow_serving', 'keras', 'apache_beam', 'ml_dtypes'):\n"
        '    sys.modules[name] = None  # importing it raises an ImportError\n'
        'from serving.clients import Client\n'
        "for transport, address in zip(('grpc', 'rest'), sys.argv[1:]):\n"
        "    with Client(address, transport=transport, model='colours') as client:\n"
        '        print(client.status(deadline_seconds=60)[0].state, client.metadata().version)\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code, server.grpc, server.rest],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == 'AVAILABLE 3\nAVAILABLE 3\n'
