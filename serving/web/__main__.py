"""Shows a page on which people classify their photos, before a gateway.

Examples:
  python -m serving.web --gateway=http://127.0.0.1:8080 --port=8090
  python -m serving.web --gateway=https://gateway.example --host=0.0.0.0 --tls_cert=cert.pem
      --tls_key=key.pem --api_key_file=key.txt

Once the port accepts requests, the page prints one line:
  ready: page http://127.0.0.1:8090, gateway http://127.0.0.1:8080
It does not wait for the gateway: without one, the page tells what to do.
"""

from pathlib import Path

import httpx
from absl import flags

from catalog import command_line
from catalog.errors import UserError
from serving.listening.listener import Listener
from serving.web import process

_GATEWAY = flags.DEFINE_string(
    'gateway', None, 'Address of the gateway, such as http://127.0.0.1:8080.', required=True
)
_HOST = flags.DEFINE_string(
    'host', '127.0.0.1', 'Address to listen on; 0.0.0.0 for all network interfaces.'
)
_PORT = flags.DEFINE_integer('port', 8090, 'HTTP port.', lower_bound=1, upper_bound=65535)
_TLS_CERT = flags.DEFINE(
    command_line.LOCAL_FILE, 'tls_cert', None, 'PEM file of the certificate, for HTTPS.'
)
_TLS_KEY = flags.DEFINE(
    command_line.LOCAL_FILE, 'tls_key', None, 'PEM file of the private key, for HTTPS.'
)
_API_KEY_FILE = flags.DEFINE(
    command_line.LOCAL_FILE, 'api_key_file', None, 'File with the key for a gateway that needs one.'
)
_MAX_PHOTO_MB = flags.DEFINE_integer(
    'max_photo_mb', 20, 'Largest photo, in MiB, as of the gateway.', lower_bound=1
)


def main(argv: list[str]) -> None:
    """Serves until SIGTERM or Ctrl-C."""
    del argv
    gateway = _checked_address(_GATEWAY.value)
    if _API_KEY_FILE.value:
        _check_key(_API_KEY_FILE.value)
    process.serve(
        [gateway, *([_API_KEY_FILE.value] if _API_KEY_FILE.value else [])],
        Listener(_HOST.value, _PORT.value, _TLS_CERT.value, _TLS_KEY.value),
        max_photo_mb=_MAX_PHOTO_MB.value,
        on_ready=lambda address: print(f'ready: page {address}, gateway {gateway}', flush=True),
    )


def _checked_address(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL('')
    spaces = any(character.isspace() for character in text)
    if spaces or url.scheme not in ('http', 'https') or not url.host or url.query or url.fragment:
        raise UserError(f'--gateway must be like http://127.0.0.1:8080, got {text!r}')
    return text.rstrip('/')


def _check_key(path: str) -> None:
    key = Path(path).read_text(errors='replace').strip()  # not ASCII if replaced
    if not key or not key.isascii() or not key.isprintable():
        raise UserError(f'--api_key_file must have one key of printable ASCII, got {path}')


if __name__ == '__main__':
    command_line.run(main)
