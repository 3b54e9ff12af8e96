"""Only known startup messages are hidden."""

import subprocess
import sys

CODE = """
import os, sys
from catalog.process import startup_messages
with startup_messages.hide():
    os.write(2, b'I0000 00:00:1.5 7 port.cc:153] oneDNN custom operations are on.\\n')
    os.write(2, b'E0000 00:00:1.5 7 other.cc:1] something else is wrong\\n')
    print('from python', file=sys.stderr)
    os.write(2, b'E0000 00:00:1.5 7 util.cc:131] oneDNN supports DT_HALF only on AVX\\n')
    {inside}
print('after', file=sys.stderr)
"""


def run(inside: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-c', CODE.format(inside=inside)], capture_output=True, text=True
    )


def test_known_messages_are_hidden_and_others_are_printed() -> None:
    assert run('pass').stderr.splitlines() == [
        'E0000 00:00:1.5 7 other.cc:1] something else is wrong',
        'from python',
        'after',
    ]


def test_an_error_during_startup_is_printed() -> None:
    done = run('raise RuntimeError("no library")')
    assert done.returncode == 1
    assert 'from python' in done.stderr
    assert 'RuntimeError: no library' in done.stderr


def test_tensorflow_starts_silently() -> None:
    code = (
        'from catalog.process import startup_messages\n'
        'with startup_messages.hide():\n'
        '    import tensorflow as tf\n'
        '    tf.constant(0, tf.float16)\n'
        'print(int(tf.constant(1) + 1))\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ('2\n', '')
