"""Connections are kept, encrypted and authenticated; messages have a limit."""

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import predict_pb2

from catalog.errors import UserError
from serving.clients import AsyncClient, Client, Code, ConnectionOptions, Retries, ServingError, Tls
from tests.serving.certificates import make_authority
from tests.serving.peers import grpc_server, http_response, http_server, raw_server
from tests.serving.running import ROOT


@dataclass(frozen=True)
class Certificates:
    """PEM files: the authority's certificate; certificates and keys of a server and a client."""

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


GOOD = (200, {}, json.dumps({'outputs': [[0.5, 0.25]]}).encode())
ONCE = Retries(attempts=1)


@pytest.fixture(scope='module')
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder, made = tmp_path_factory.mktemp('certificates'), make_authority()
    texts = {
        'authority': made.certificate,
        'server': made.server.certificate,
        'server_key': made.server.key,
        'client': made.client.certificate,
        'client_key': made.client.key,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return Certificates(**{name: folder / name for name in texts})


def test_a_client_keeps_its_connection() -> None:
    with http_server(GOOD) as server:
        with Client(server.address, transport='rest') as client:
            for _ in range(5):
                client.embed([b'x'])
        assert (len(server.seen), server.connections) == (5, 1)

        async def ask() -> None:
            async with AsyncClient(server.address, transport='rest') as client:
                for _ in range(5):
                    await client.embed([b'x'])

        asyncio.run(ask())
        assert (len(server.seen), server.connections) == (10, 2)


def _tls(certificates: Certificates, *, with_client: bool = True) -> Tls:
    files = (certificates.client, certificates.client_key) if with_client else ()
    return Tls(str(certificates.authority), *map(str, files))


def _server_context(certificates: Certificates) -> ssl.SSLContext:
    """TLS that requires a certificate of the client."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates.authority)
    context.load_cert_chain(certificates.server, certificates.server_key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_rest_is_encrypted_and_authenticated(certificates: Certificates) -> None:
    options = ConnectionOptions(
        tls=_tls(certificates), token='secret', api_key='key', headers={'x-shop': 'zalando'}
    )
    assert 'secret' not in repr(options)
    with http_server(GOOD, context=_server_context(certificates)) as server:
        address = server.address.replace('127.0.0.1', 'localhost')
        with Client(address, transport='rest', options=options, deadline_seconds=60) as client:
            assert client.embed([b'x']).shape == (1, 2)
        (seen,) = server.seen
        assert seen['authorization'] == 'Bearer secret'
        assert (seen['x-api-key'], seen['x-shop']) == ('key', 'zalando')
        for tls in (_tls(certificates, with_client=False), Tls(), None):
            other = ConnectionOptions(tls=tls, retries=ONCE)
            with (
                Client(address, transport='rest', options=other, deadline_seconds=60) as client,
                pytest.raises(ServingError) as caught,
            ):
                client.embed([b'x'])
            assert caught.value.code is Code.UNAVAILABLE
    assert len(server.seen) == 1


@pytest.mark.parametrize('is_async', [False, True])
def test_grpc_is_encrypted_and_authenticated(certificates: Certificates, is_async: bool) -> None:
    seen: list[dict[str, str]] = []

    def respond(request: Any, context: grpc.ServicerContext) -> Any:
        seen.append(dict(context.invocation_metadata()))
        return predict_pb2.PredictResponse()

    def predict(tls: Tls | None) -> Any:
        options = ConnectionOptions(tls=tls, token='secret', api_key='key', retries=ONCE)
        if not is_async:
            with Client(address, options=options, deadline_seconds=60) as client:
                return client.predict('any', {'x': [1]})

        async def ask() -> Any:
            async with AsyncClient(address, options=options, deadline_seconds=60) as client:
                return await client.predict('any', {'x': [1]})

        return asyncio.run(ask())

    credentials = grpc.ssl_server_credentials(
        [(certificates.server_key.read_bytes(), certificates.server.read_bytes())],
        root_certificates=certificates.authority.read_bytes(),
        require_client_auth=True,
    )
    with grpc_server(respond, credentials=credentials) as address:
        assert predict(_tls(certificates)) == {}
        assert (seen[0]['authorization'], seen[0]['x-api-key']) == ('Bearer secret', 'key')
        for tls in (_tls(certificates, with_client=False), None):
            with pytest.raises(ServingError) as caught:
                predict(tls)
            assert caught.value.code is Code.UNAVAILABLE
    assert len(seen) == 1


@pytest.mark.parametrize('transport', ['rest', 'grpc'])
def test_invalid_files_are_a_user_error(
    certificates: Certificates, tmp_path: Path, transport: Any
) -> None:
    (tmp_path / 'ca.pem').write_text('no certificate')
    for tls in (
        Tls(str(tmp_path / 'ca.pem')),
        Tls(None, str(certificates.client), str(certificates.server_key)),
    ):
        with pytest.raises(UserError, match='must be PEM files that match, got: '):
            Client('localhost:1', transport=transport, options=ConnectionOptions(tls=tls))
    missing = ConnectionOptions(tls=Tls(str(tmp_path / 'none.pem')))
    with pytest.raises(FileNotFoundError):
        Client('localhost:1', transport=transport, options=missing)
    with pytest.raises(UserError, match='certificate_file and key_file must be set together'):
        Tls(None, str(certificates.client))


@pytest.mark.parametrize('transport', ['rest', 'grpc'])
def test_messages_have_a_limit(transport: Any) -> None:
    def respond(request: Any, context: grpc.ServicerContext) -> Any:
        response = predict_pb2.PredictResponse()
        response.outputs['embedding'].string_val.append(b'x' * 2000)
        return response

    options = ConnectionOptions(max_message_bytes=1000, retries=ONCE)
    large = (200, {}, b'{"outputs": [[0.5, ' + b' ' * 2000 + b'0.25]]}')
    with grpc_server(respond) as grpc_address, http_server(large) as server:
        address = server.address if transport == 'rest' else grpc_address
        for picture in (b'x' * 2000, b'x'):  # a large request, a large response
            with (
                Client(address, transport=transport, options=options) as client,
                pytest.raises(ServingError) as caught,
            ):
                client.embed([picture], deadline_seconds=60)
            assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert len(server.seen) == (1 if transport == 'rest' else 0)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'token': 'a\nb'}, 'must have names in lower case and printable ASCII'),
        ({'headers': {'X-Shop': 'a'}}, "lower case and printable ASCII, got 'X-Shop'"),
        ({'max_message_bytes': 0}, r'max_message_bytes must be in \[1, 2147483647\], got 0'),
    ],
)
def test_invalid_options_are_a_user_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ConnectionOptions(**options)


def test_invalid_retries_are_a_user_error() -> None:
    with pytest.raises(UserError, match='attempts must be at least 1, got 0'):
        Retries(attempts=0)
    with pytest.raises(UserError, match=r'wait_seconds must be in \[0, max_wait_seconds\], got 5'):
        Retries(wait_seconds=5)


def test_a_connection_that_the_server_closes_is_opened_again() -> None:
    opened: list[str] = []

    def respond(connection: socket.socket) -> None:
        opened.append('')
        connection.sendall(http_response('200 OK', GOOD[2]))

    with (
        raw_server(respond) as address,
        Client(address, transport='rest', deadline_seconds=60) as client,
    ):
        for _ in range(3):
            assert client.embed([b'x']).tolist() == [[0.5, 0.25]]
    assert len(opened) == 3


@pytest.mark.parametrize('transport', ['rest', 'grpc'])
def test_a_closed_client_refuses_calls(transport: Any) -> None:
    client = Client('127.0.0.1:1', transport=transport)
    for _ in range(2):
        client.close()
    with pytest.raises(ValueError, match='closed'):
        client.status()


def test_a_program_that_does_not_close_its_client_ends() -> None:
    code = (
        'import sys\n'
        'from serving.clients import Client\n'
        "client = Client(sys.argv[1], transport='rest')\n"
        "print(client.embed([b'x'], deadline_seconds=60))\n"
    )
    with http_server(GOOD) as server:
        done = subprocess.run(
            [sys.executable, '-c', code, server.address],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, '[[0.5  0.25]]\n', '')
