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
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from catalog import command_line, pixels, storage, terminal
from catalog.errors import UserError
from catalog.formats.image_header import BadPicture
from serving.clients import Client, ConnectionOptions, ServingError, Tls
from serving.protocol import names
from serving.query.answers import Answer

_SIGNATURES = (names.DEFAULT_SIGNATURE, names.PRODUCT_SIGNATURE)

_IMAGES = flags.DEFINE_multi(
    command_line.FILE, flags.ArgumentSerializer(), 'image', [], 'Image file, local or gs://'
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
    _SIGNATURES,
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
_CA_FILE = flags.DEFINE(
    command_line.LOCAL_FILE,
    'ca_file',
    None,
    'Use TLS, and trust servers that the authorities in this PEM file sign.',
)
_CERTIFICATE_FILE = flags.DEFINE(
    command_line.LOCAL_FILE, 'certificate_file', None, 'Own certificate for TLS, a PEM file.'
)
_KEY_FILE = flags.DEFINE(
    command_line.LOCAL_FILE, 'key_file', None, 'Private key of the own certificate, a PEM file.'
)
_TOKEN_FILE = flags.DEFINE(
    command_line.LOCAL_FILE, 'token_file', None, 'File with a bearer token to send.'
)


def main(argv: list[str]) -> None:
    """Sends one request and prints its predictions."""
    del argv
    pictures = [_read_picture(path) for path in _IMAGES.value]
    if not pictures:
        raise UserError('--image must be set, got 0 images')
    try:
        with _open_client() as client:
            if _WAIT.value:
                client.wait_until_ready(_WAIT.value)
            answers = _ask(client, _IMAGES.value, pictures)
    except ServingError as error:
        raise UserError(str(error)) from error
    if _JSON.value:
        _write_json(answers, path=_JSON.value)
    for answer in answers:
        print(terminal.escape(answer.to_text()))


def _read_picture(path: str) -> bytes:
    data = storage.read_bytes(path)
    try:
        return pixels.to_served(data)
    except BadPicture as error:
        raise UserError(f'{path} must be an image: {error}') from error


def _open_client() -> Client:
    encrypted = _CA_FILE.value or _CERTIFICATE_FILE.value or _KEY_FILE.value
    try:
        tls = Tls(_CA_FILE.value, _CERTIFICATE_FILE.value, _KEY_FILE.value) if encrypted else None
        token = _read_token(_TOKEN_FILE.value) if _TOKEN_FILE.value else None
        return Client(
            _SERVER.value,
            transport=_TRANSPORT.value,
            model=_MODEL.value,
            version=_VERSION.value,
            deadline_seconds=_TIMEOUT.value,
            options=ConnectionOptions(tls=tls, token=token),
        )
    except UserError as error:
        is_flag = str(error).split()[0] in flags.FLAGS  # an argument has the name of its flag
        raise UserError(f'{"--" * is_flag}{error}') from error


def _read_token(path: str) -> str:
    return Path(path).read_text(errors='replace').strip()  # what is replaced is refused


def _ask(client: Client, paths: Sequence[str], pictures: list[bytes]) -> list[Answer]:
    if _SIGNATURE.value == names.PRODUCT_SIGNATURE:
        (prediction,) = client.classify_products([pictures])
        return [Answer(tuple(paths), prediction)]
    predictions = client.classify(pictures)
    return [Answer((path,), found) for path, found in zip(paths, predictions, strict=True)]


def _write_json(answers: list[Answer], *, path: str) -> None:
    document = {
        'transport': _TRANSPORT.value,
        'server': _SERVER.value,
        'model': _MODEL.value,
        'answers': [answer.to_json() for answer in answers],
    }
    text = json.dumps(document, ensure_ascii=False, indent=2) + '\n'
    storage.write_bytes(path, text.encode())


if __name__ == '__main__':
    command_line.run(main)
