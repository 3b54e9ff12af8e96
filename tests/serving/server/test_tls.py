"""TLS on the gRPC port, from TensorFlow Serving's SSLConfig file."""

import json
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from catalog.errors import UserError
from serving.config import tls
from tests.serving.certificates import make_authority
from tests.serving.colours import RED, jpeg, predict_request, save_version
from tests.serving.running import RunningServer


def config(**fields: str | bool) -> str:
    return '\n'.join(f'{name}: {json.dumps(value)}' for name, value in fields.items())


def test_only_clients_with_a_certificate_are_admitted_where_it_is_asked_for(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    own, foreign = make_authority(), make_authority()
    file = tmp_path / 'ssl.config'
    file.write_text(
        config(
            server_key=own.server.key,
            server_cert=own.server.certificate,
            custom_ca=own.certificate,
            client_verify=True,
        )
    )
    base = tmp_path / 'model'
    base.mkdir()
    save_version(base, 1)
    server = start(base, f'--ssl_config_file={file}')

    def predict(credentials: grpc.ChannelCredentials | None) -> int:
        channel = (
            grpc.secure_channel(server.grpc, credentials)
            if credentials
            else grpc.insecure_channel(server.grpc)
        )
        with channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            request = predict_request({'image_bytes': [jpeg(RED)]})
            return len(stub.Predict(request, timeout=60).outputs['label'].int64_val)

    def credentials(ca: str, key: str | None = None, certificate: str | None = None) -> object:
        texts = [text and text.encode() for text in (ca, key, certificate)]
        return grpc.ssl_channel_credentials(*texts)

    client = own.client
    assert predict(credentials(own.certificate, client.key, client.certificate)) == 3
    for refused in [
        None,
        credentials(own.certificate),
        credentials(own.certificate, foreign.client.key, foreign.client.certificate),
        credentials(foreign.certificate, client.key, client.certificate),
    ]:
        with pytest.raises(grpc.RpcError) as caught:
            predict(refused)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert server.http('GET', '/v1/models/colours')[0] == 200  # REST has no TLS
    assert server.stop() == 0


def test_a_certificate_must_be_text_and_of_the_key(tmp_path: Path) -> None:
    own, other = make_authority().server, make_authority().server
    good = {'server_key': own.key, 'server_cert': own.certificate}
    file = tmp_path / 'ssl.config'
    file.write_text(config(**good))
    assert tls.read(str(file)) == tls.Tls(own.key, own.certificate, '', client_verify=False)
    for change, message in [
        ({'server_key': '/key.pem'}, 'server_key must be the text of a PEM file'),
        ({'server_cert': '/cert.pem'}, 'server_cert must be the text of a PEM file'),
        ({'server_cert': other.certificate}, 'server_cert must be of server_key'),
        ({'client_verify': True}, 'client_verify needs custom_ca'),
    ]:
        file.write_text(config(**{**good, **change}))
        with pytest.raises(UserError, match=message):
            tls.read(str(file))
