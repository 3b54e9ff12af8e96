"""Asks a server which category photos belong to, over REST or gRPC, and prints the answers.

Works with TensorFlow Serving and with serving.model_server alike. Needs no TensorFlow.

Examples:
  python -m serving.query --image=a.jpg --image=b.jpg --transport=grpc --server=127.0.0.1:8500
  python -m serving.query --image=a.jpg --transport=rest --server=127.0.0.1:8501 --json=answers.json
  python -m serving.query --image=a.jpg --image=b.jpg --transport=grpc --server=127.0.0.1:8500
      --signature=product

The second writes {"transport", "server", "model", "answers": [{"image", "predictions": [{"label",
"category_id", "confidence", "level1", "level2", "level3"}, ...]}, ...]}. The third takes all
photos as views of one product and has one answer, with "images" and "level" in place of "image".
"""

import json
import time
from types import ModuleType

from absl import flags

from catalog import command_line, storage
from catalog.errors import UserError
from catalog.formats import image_header
from serving import answers, grpc_client, rest_client

_POLL_SECONDS = 0.2

_IMAGES = flags.DEFINE_multi_string('image', [], 'A photo; may be given many times.')
_TRANSPORT = flags.DEFINE_enum('transport', None, ['rest', 'grpc'], 'How to ask.', required=True)
_SERVER = flags.DEFINE_string('server', None, 'HOST:PORT of the transport.', required=True)
_MODEL = flags.DEFINE_string('model', 'product_categories', 'What the server calls the model.')
_VERSION = flags.DEFINE_integer('version', None, 'Version to ask; by default the served one.')
_SIGNATURE = flags.DEFINE_enum(
    'signature', answers.SIGNATURES[0], answers.SIGNATURES, 'Each photo alone, or one product.'
)
_TIMEOUT = flags.DEFINE_float('timeout_seconds', 10, 'Longest time for the answer.', lower_bound=0)
_WAIT = flags.DEFINE_float(
    'wait_seconds', 0, 'Longest time to wait first until the model is ready.', lower_bound=0
)
_JSON = flags.DEFINE_string('json', '', 'File to write the answers to.')


def main(argv: list[str]) -> None:
    """Asks one question and prints its answers."""
    del argv
    client = {'rest': rest_client, 'grpc': grpc_client}[_TRANSPORT.value]
    server = answers.Server(_SERVER.value, model=_MODEL.value, version=_VERSION.value)
    question = answers.Question(
        paths=tuple(_IMAGES.value),
        pictures=tuple(_read(path) for path in _IMAGES.value),
        signature=_SIGNATURE.value,
    )
    if _WAIT.value:
        _wait(client, server, wait_seconds=_WAIT.value)
    outputs = client.ask(server, question, timeout_seconds=_TIMEOUT.value)
    found = answers.read(outputs, question)
    if _JSON.value:
        _write(found, server=server, path=_JSON.value)
    for answer in found:
        print(answer.as_text())


def _read(path: str) -> bytes:
    data = storage.read_bytes(path)
    try:
        image_header.read_header(data)
    except image_header.BadPicture as error:
        raise UserError(f'{path}: must be a picture: {error}') from error
    return data


def _wait(client: ModuleType, server: answers.Server, *, wait_seconds: float) -> None:
    end = time.monotonic() + wait_seconds
    while reason := client.why_not_ready(server, timeout_seconds=1):
        if time.monotonic() >= end:
            raise UserError(f'the model must be ready within {wait_seconds:g} s: {reason}')
        time.sleep(_POLL_SECONDS)


def _write(found: list[answers.Answer], *, server: answers.Server, path: str) -> None:
    document = {
        'transport': _TRANSPORT.value,
        'server': server.address,
        'model': server.model,
        'answers': [answer.as_json() for answer in found],
    }
    text = json.dumps(document, ensure_ascii=False, indent=2) + '\n'
    storage.write_bytes(path, text.encode())


if __name__ == '__main__':
    command_line.run(main)
