"""Connects TensorFlow's own `gs://` file system to the object store of `gcs_emulator`.

TensorFlow connects only to *.googleapis.com, over HTTPS. But it honours a proxy and a file of
trusted certificates, so this is a proxy with a certificate for these names, which decrypts requests
and forwards them to the store.
"""

import contextlib
import datetime
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_NAME = '*.googleapis.com'
_CHUNK_BYTES = 1 << 16
_HEADERS = {
    b'Transfer-Encoding: identity\r\n': b'',  # unknown to TensorFlow's client
    b'Location: http://www.': b'Location: https://www.',  # where an upload continues
}


def _write_certificate(folder: Path) -> Path:
    """Writes a key and its self-signed certificate to one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / 'googleapis.pem'
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, store: tuple[str, int], certificate: Path) -> None:
        super().__init__(('127.0.0.1', 0), _Handler)
        self.store = store
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.connections = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores clients that close the connection."""


class _Handler(socketserver.BaseRequestHandler):
    server: _Proxy

    def handle(self) -> None:
        request = b''
        while b'\r\n\r\n' not in request:  # CONNECT storage.googleapis.com:443 HTTP/1.1
            if not (data := self.request.recv(_CHUNK_BYTES)):
                return
            request += data
        self.request.sendall(b'HTTP/1.1 200 OK\r\n\r\n')
        self.server.connections += 1
        with (
            self.server.context.wrap_socket(self.request, server_side=True) as client,
            socket.create_connection(self.server.store) as store,
        ):
            back = threading.Thread(target=_pass_on, args=(store, client), daemon=True)
            back.start()
            _pass_on(client, store)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            for header, replacement in _HEADERS.items():
                data = data.replace(header, replacement)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def running_tls_proxy(store_url: str, folder: Path) -> Iterator[dict[str, str]]:
    """Yields the environment in which TensorFlow's gs:// is the store.

    `folder` receives the certificate.
    """
    certificate = _write_certificate(folder)
    address = urlsplit(store_url)
    with _Proxy((str(address.hostname), int(address.port or 0)), certificate) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield {
                'STORAGE_EMULATOR_HOST': store_url,  # for the client library
                'https_proxy': f'http://127.0.0.1:{proxy.server_address[1]}',
                'CURL_CA_BUNDLE': str(certificate),
                'GOOGLE_AUTH_TOKEN_FOR_TESTING': 'none',
                'NO_GCE_CHECK': 'true',
            }
        finally:
            proxy.shutdown()
