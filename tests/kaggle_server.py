"""Kaggle's API for the files of a competition, and the store behind it, on this machine.

The official client asks for a file by a POST with credentials and is redirected to a signed URL of
the store, which understands ranges and entity tags.
"""

import contextlib
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

import pytest
from kagglesdk import kaggle_env


@dataclass
class Kaggle:
    """The state of the server.

    Attributes:
      files: The bytes of each file as they are sent.
      tag: The entity tag of all files.
      refusal: The HTTP status with which files are refused, or None.
      cut: Returns after how many bytes of a response the connection is cut, or None; takes the
        offset of the first byte.
      ranges: The Range header of each request for bytes.
    """

    files: dict[str, bytes]
    tag: str = '"1"'
    refusal: int | None = None
    cut: Callable[[int], int | None] = lambda offset: None
    ranges: list[str | None] = field(default_factory=list)


@contextlib.contextmanager
def running(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    """Runs the server and makes the official client use it, with credentials."""
    state = Kaggle(files)
    handler = type('Handler', (_Handler,), {'state': state})
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}'
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.TEST, url)
        monkeypatch.setenv('KAGGLE_API_ENVIRONMENT', 'TEST')
        monkeypatch.setenv('KAGGLE_API_TOKEN', 'a-token')
        try:
            yield state
        finally:
            server.shutdown()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    state: Kaggle

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        refusal = self.state.refusal
        if self.headers.get('Authorization') != 'Bearer a-token':
            refusal = 401
        elif body['fileName'] not in self.state.files:
            refusal = 404
        if refusal:
            self._respond(refusal, json.dumps({'code': refusal, 'message': 'refused'}).encode())
            return
        host = self.headers['Host']
        self.send_response(302)
        self.send_header('Location', f'http://{host}/store/{body["fileName"]}?signature=abc')
        self.send_header('Content-Length', '0')
        self.end_headers()

    def do_GET(self) -> None:
        data = self.state.files[unquote(self.path.split('?')[0].rsplit('/', 1)[1])]
        client_asks = self.headers['Accept-Encoding'] != 'identity'  # it follows the redirection
        wanted = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range') or '')
        start = int(wanted[1]) if wanted and self.headers['If-Range'] == self.state.tag else 0
        if not client_asks:
            self.state.ranges.append(self.headers.get('Range'))
        if start and start >= len(data):
            self._respond(416, b'')
            return
        cut = None if client_asks else self.state.cut(start)
        self.send_response(206 if start else 200)
        self.send_header('Content-Length', str(len(data) - start))
        self.send_header('ETag', self.state.tag)
        self.end_headers()
        self.wfile.write(data[start:] if cut is None else data[start : start + cut])
        self.close_connection = cut is not None

    def _respond(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the official client closes its own request
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the server's name)
        """Quiet."""
