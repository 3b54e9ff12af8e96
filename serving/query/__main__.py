"""Sends images to a server over REST or gRPC and prints the predicted categories.

Works with TensorFlow Serving and with serving.model_server. Needs no TensorFlow.

Examples:
  python -m serving.query --image=a.jpg --image=b.jpg --transport=grpc --server=127.0.0.1:8500
  python -m serving.query --image=a.jpg --transport=rest --server=127.0.0.1:8501 --json=answers.json
  python -m serving.query --image=a.jpg --image=b.jpg --transport=grpc --server=127.0.0.1:8500
      --signature=product

The second example writes {"transport", "server", "model", "answers": [{"image", "predictions":
[{"label", "category_id", "confidence", "level1", "level2", "level3"}, ...]}, ...]}. The third one
sends all images as views of one product; the result has one answer, with "images" and "level"
instead of "image". There is a "levelN" for each level of the category tree, and "category_code"
where the category ids are not numbers.
"""

import json
import time
from types import ModuleType

from absl import flags

from catalog import command_line, pixels, storage, terminal
from catalog.errors import UserError
from catalog.formats.image_header import BadPicture
from serving.clients import grpc_client, rest_client
from serving.clients.prediction import Prediction, parse_outputs
from serving.clients.request import SIGNATURES, Endpoint, Request
from serving.protocol import names

_POLL_SECONDS = 0.2

_IMAGES = flags.DEFINE_multi(
    command_line.PATH, flags.ArgumentSerializer(), 'image', [], 'Image file, local or gs://'
)
_TRANSPORT = flags.DEFINE_enum(
    'transport', None, ['rest', 'grpc'], 'Protocol of the request.', required=True
)
_SERVER = flags.DEFINE_string(
    'server', None, 'HOST:PORT of the server, for the chosen transport.', required=True
)
_MODEL = flags.DEFINE_string('model', names.MODEL_NAME, 'Name of the model on the server.')
_VERSION = flags.DEFINE_integer(
    'version', None, 'Version of the model; by default the served version.'
)
_SIGNATURE = flags.DEFINE_enum(
    'signature',
    names.DEFAULT_SIGNATURE,
    SIGNATURES,
    'serving_default classifies each image; product classifies all images as views of one product.',
)
_TIMEOUT = flags.DEFINE_float(
    'timeout_seconds', 10, 'Time limit of the request, in seconds.', lower_bound=0
)
_WAIT = flags.DEFINE_float(
    'wait_seconds', 0, 'Time to wait for the model to become ready, in seconds.', lower_bound=0
)
_JSON = flags.DEFINE(
    command_line.LOCAL_PATH, 'json', None, 'File to write the predictions to, as JSON.'
)


def main(argv: list[str]) -> None:
    """Sends one request and prints its predictions."""
    del argv
    client = {'rest': rest_client, 'grpc': grpc_client}[_TRANSPORT.value]
    endpoint = Endpoint(_SERVER.value, model=_MODEL.value, version=_VERSION.value)
    request = Request(
        paths=tuple(_IMAGES.value),
        pictures=tuple(_read_picture(path) for path in _IMAGES.value),
        signature=_SIGNATURE.value,
    )
    if _WAIT.value:
        _wait_until_ready(client, endpoint, wait_seconds=_WAIT.value)
    outputs = client.predict(endpoint, request, timeout_seconds=_TIMEOUT.value)
    predictions = parse_outputs(outputs, request)
    if _JSON.value:
        _write_json(predictions, endpoint=endpoint, path=_JSON.value)
    for prediction in predictions:
        print(terminal.escape(prediction.to_text()))


def _read_picture(path: str) -> bytes:
    data = storage.read_bytes(path)
    try:
        return pixels.to_served(data)
    except BadPicture as error:
        raise UserError(f'{path} must be an image: {error}') from error


def _wait_until_ready(client: ModuleType, endpoint: Endpoint, *, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while reason := client.readiness_error(endpoint, timeout_seconds=1):
        if time.monotonic() >= deadline:
            raise UserError(f'the model must be ready within {wait_seconds:g} s: {reason}')
        time.sleep(_POLL_SECONDS)


def _write_json(predictions: list[Prediction], *, endpoint: Endpoint, path: str) -> None:
    document = {
        'transport': _TRANSPORT.value,
        'server': endpoint.address,
        'model': endpoint.model,
        'answers': [prediction.to_json() for prediction in predictions],
    }
    text = json.dumps(document, ensure_ascii=False, indent=2) + '\n'
    storage.write_bytes(path, text.encode())


if __name__ == '__main__':
    command_line.run(main)
