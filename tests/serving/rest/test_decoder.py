"""Large bodies, decoded in a process of their own."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from serving.protocol.status import Code, RequestError
from serving.rest.decoder import LARGE_BODY_BYTES, Decoder

SIGNATURES = {'serving_default': {'text': 7}, 'numbers': {'x': 4}}
PADDING = ' ' * LARGE_BODY_BYTES


@pytest.fixture(scope='module')
def decoder() -> Iterator[Decoder]:
    decoder = Decoder()
    yield decoder
    decoder.close()


def children() -> list[psutil.Process]:
    """The processes of decoders."""
    return [
        child for child in psutil.Process().children() if 'decode_all' in ' '.join(child.cmdline())
    ]


def body(value: object) -> bytes:
    return (json.dumps(value) + PADDING).encode()


def test_a_large_body_gives_what_a_small_one_gives(decoder: Decoder) -> None:
    small = decoder.decode(json.dumps({'instances': ['x', 'é']}).encode(), SIGNATURES)
    large = decoder.decode(body({'instances': ['x', 'é']}), SIGNATURES)
    assert len(children()) == 1
    assert large.inputs['text'].tolist() == small.inputs['text'].tolist() == [b'x', 'é'.encode()]
    assert (large.signature_name, large.rows) == ('serving_default', True)
    numbers = decoder.decode(body({'signature_name': 'numbers', 'inputs': [7, 300]}), SIGNATURES)
    np.testing.assert_array_equal(numbers.inputs['x'], np.array([7, 44], np.uint8))


def test_the_main_module_is_not_run_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / 'main.py'
    script.write_text('raise SystemExit("the main module was run again")')
    monkeypatch.setattr(sys.modules['__main__'], '__file__', str(script), raising=False)
    monkeypatch.setattr(sys.modules['__main__'], '__spec__', None, raising=False)
    decoder = Decoder()
    assert decoder.decode(body({'instances': ['x']}), SIGNATURES).inputs['text'].tolist() == [b'x']
    decoder.close()


def test_the_errors_of_a_large_body_keep_code_and_message(decoder: Decoder) -> None:
    with pytest.raises(RequestError, match='at most 254 dimensions') as caught:
        decoder.decode(
            ('{"instances": ' + '[' * 300 + PADDING).encode()[:-1] + b']' * 300 + b'}', SIGNATURES
        )
    assert caught.value.code == Code.INVALID_ARGUMENT
    with pytest.raises(RequestError, match='"none" not found in signature def'):
        decoder.decode(body({'signature_name': 'none', 'instances': ['x']}), SIGNATURES)


def test_other_threads_run_while_a_large_body_is_decoded(decoder: Decoder) -> None:
    pixels = body({'signature_name': 'numbers', 'inputs': [[7] * 1000] * 4000})
    done = threading.Event()
    results: list[object] = []
    thread = threading.Thread(
        target=lambda: (results.append(decoder.decode(pixels, SIGNATURES)), done.set())
    )
    thread.start()
    steps = 0
    while not done.wait(0.002):
        steps += 1
    thread.join()
    assert results[0].inputs['x'].shape == (4000, 1000)
    assert steps > 20  # 4 million numbers: without the process, this thread would hardly run


def test_a_process_that_dies_is_replaced(decoder: Decoder) -> None:
    decoder.decode(body({'instances': ['x']}), SIGNATURES)
    (child,) = children()
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(
        RequestError, match='the process that decodes large requests died'
    ) as caught:
        decoder.decode(body({'instances': ['x']}), SIGNATURES)
    assert caught.value.code == Code.UNAVAILABLE
    assert decoder.decode(body({'instances': ['x']}), SIGNATURES).inputs['text'].tolist() == [b'x']
    decoder.close()
    assert not children()
