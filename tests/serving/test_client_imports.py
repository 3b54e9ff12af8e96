"""A client loads no TensorFlow, which takes seconds and hundreds of megabytes."""

import subprocess
import sys

import pytest

from tests.serving.running import ROOT


@pytest.mark.parametrize('room', ['protocol', 'clients', 'query'])
def test_importing_a_room_of_the_client_loads_no_tensorflow(room: str) -> None:
    files = sorted((ROOT / 'serving' / room).rglob('*.py'))
    modules = [f'serving.{room}.{path.stem}' for path in files if path.stem != '__init__']
    assert modules
    code = f'import sys, {", ".join(modules)}; print(*{{n.split(".")[0] for n in sys.modules}})'
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not {'tensorflow', 'tensorflow_serving', 'keras'} & set(done.stdout.split())
