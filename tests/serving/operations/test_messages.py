"""Requests over gRPC have the bytes of the official messages."""

from typing import Any

import numpy as np
import pytest
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from serving.clients import requests
from serving.operations.endpoint import Endpoint
from serving.operations.model_metadata import GetMetadata
from serving.operations.model_status import GetStatus
from tests.serving.colours import predict_request

PICTURES = [b'\xff\xd8first', b'\xff\xd8\x00second']
IMAGES = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)


@pytest.mark.parametrize('version', [None, 3])
@pytest.mark.parametrize(
    ('request_', 'signature', 'inputs'),
    [
        (requests.classify(PICTURES), 'serving_default', {'image_bytes': PICTURES}),
        (
            requests.classify_products([PICTURES]),
            'product',
            {'image_bytes': PICTURES, 'product': np.array([0, 0], np.int64)},
        ),
        (requests.embed(PICTURES), 'embedding', {'image_bytes': PICTURES}),
        (requests.classify_pixels(IMAGES), 'pixels', {'images': IMAGES}),
        (
            requests.predict(
                'echo', {'decimals': np.array([[1.5, 2]], '>f4'), 'integers': [7, -7]}
            ),
            'echo',
            {'decimals': np.array([[1.5, 2]], np.float32), 'integers': np.array([7, -7])},
        ),
    ],
)
def test_a_request_has_the_bytes_of_the_official_message(
    request_: Any, signature: str, inputs: dict[str, Any], version: int | None
) -> None:
    message = request_.to_message(Endpoint('127.0.0.1:8500', 'colours', version))
    official = predict_request(inputs, signature=signature, version=version)
    assert message.SerializeToString(deterministic=True) == official.SerializeToString(
        deterministic=True
    )


def test_status_and_metadata_name_the_model_and_its_label() -> None:
    endpoint = Endpoint('127.0.0.1:8500', 'colours', label='stable')
    for operation, official in [
        (GetStatus(), get_model_status_pb2.GetModelStatusRequest()),
        (
            GetMetadata(),
            get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=['signature_def']),
        ),
    ]:
        official.model_spec.name = 'colours'
        official.model_spec.version_label = 'stable'
        assert operation.to_message(endpoint).SerializeToString() == official.SerializeToString()
        path = operation.to_http(endpoint).path
        assert path.startswith('/v1/models/colours/labels/stable')


@pytest.mark.parametrize('state', get_model_status_pb2.ModelVersionStatus.State.items())
def test_states_have_their_official_names(state: tuple[str, int]) -> None:
    name, number = state
    response = get_model_status_pb2.GetModelStatusResponse()
    response.model_version_status.add(version=1, state=number)
    (version,) = GetStatus().parse_message(response)
    assert version.state == name
