"""TensorFlow Serving's HTTP paths and JSON, requested over plain HTTP."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.serving.colours import BLUE, RED, b64, jpeg
from tests.serving.running import PREDICT, RunningServer


def expected_outputs(module: Any, *pictures: bytes) -> dict[str, Any]:
    """Returns the outputs of the model itself, with strings as text."""
    outputs = module.serving_default(np.array(pictures, object))
    arrays = {name: tensor.numpy() for name, tensor in outputs.items()}
    return {
        name: np.vectorize(bytes.decode)(array) if array.dtype.hasobject else array
        for name, array in arrays.items()
    }


def test_status_reports_the_served_version(server: RunningServer) -> None:
    assert server.http('GET', '/v1/models/colours') == (
        200,
        {
            'model_version_status': [
                {
                    'version': '3',
                    'state': 'AVAILABLE',
                    'status': {'error_code': 'OK', 'error_message': ''},
                }
            ]
        },
    )
    assert server.http('GET', '/v1/models/colours/versions/3')[0] == 200


def test_metadata_contains_the_signatures(server: RunningServer) -> None:
    status, response = server.http('GET', '/v1/models/colours/metadata')
    assert status == 200
    assert response['model_spec'] == {'name': 'colours', 'signature_name': '', 'version': '3'}
    signature = response['metadata']['signature_def']['signature_def']['serving_default']
    assert signature['method_name'] == 'tensorflow/serving/predict'
    assert signature['inputs']['image_bytes']['dtype'] == 'DT_STRING'
    assert signature['inputs']['image_bytes']['tensor_shape'] == {
        'dim': [{'size': '-1', 'name': ''}],
        'unknown_rank': False,
    }
    assert set(signature['outputs']) == {
        'label', 'category_id', 'confidence', 'level1', 'level2', 'level3',
    }  # fmt: skip
    assert server.http('GET', '/v1/models/colours/versions/3/metadata') == (200, response)


@pytest.mark.parametrize('path', [PREDICT, '/v1/models/colours/versions/3:predict'])
def test_the_row_format_returns_one_object_per_image(
    server: RunningServer, module: Any, path: str
) -> None:
    red, blue = jpeg(RED), jpeg(BLUE)
    status, response = server.http('POST', path, {'instances': [b64(red), b64(blue)]})
    assert status == 200
    expected = expected_outputs(module, red, blue)
    for row, prediction in enumerate(response['predictions']):
        assert set(prediction) == set(expected)
        for name in expected:
            got = np.array(prediction[name], expected[name].dtype)
            np.testing.assert_array_equal(got, expected[name][row])
    assert len(response['predictions']) == 2


def test_the_name_of_a_single_input_is_optional(server: RunningServer) -> None:
    image = b64(jpeg(RED))
    unnamed = server.http('POST', PREDICT, {'instances': [image]})
    assert unnamed[0] == 200
    named = {'signature_name': 'serving_default', 'instances': [{'image_bytes': image}]}
    assert server.http('POST', PREDICT, named) == unnamed


def test_the_column_format_returns_complete_tensors(server: RunningServer, module: Any) -> None:
    red, blue = jpeg(RED), jpeg(BLUE)
    status, response = server.http('POST', PREDICT, {'inputs': [b64(red), b64(blue)]})
    assert status == 200
    for name, expected in expected_outputs(module, red, blue).items():
        np.testing.assert_array_equal(np.array(response['outputs'][name], expected.dtype), expected)


def test_the_name_of_a_single_output_is_omitted(server: RunningServer, module: Any) -> None:
    red = jpeg(RED)
    expected = module.embedding(np.array([red], object))['embedding'].numpy()
    body = {'signature_name': 'embedding', 'instances': [b64(red)]}
    status, response = server.http('POST', PREDICT, body)
    assert status == 200
    np.testing.assert_array_equal(np.array(response['predictions'], np.float32), expected)
    body = {'signature_name': 'embedding', 'inputs': {'image_bytes': [b64(red)]}}
    status, response = server.http('POST', PREDICT, body)
    np.testing.assert_array_equal(np.array(response['outputs'], np.float32), expected)


def test_the_product_signature_returns_one_row_per_product(
    server: RunningServer, module: Any
) -> None:
    views = [jpeg(RED), jpeg(BLUE), jpeg(BLUE)]
    body = {
        'signature_name': 'product',
        'inputs': {'image_bytes': [b64(view) for view in views], 'product': [0, 0, 1]},
    }
    status, response = server.http('POST', PREDICT, body)
    assert status == 200
    expected = module.product(np.array(views, object), np.array([0, 0, 1]))
    for name in ('confidence', 'label', 'level'):
        np.testing.assert_array_equal(
            np.array(response['outputs'][name], expected[name].dtype.as_numpy_dtype), expected[name]
        )


def test_values_of_every_type_survive_a_round_trip(server: RunningServer) -> None:
    rows = [
        {'decimals': [0.1, -2], 'integers': -7, 'flag': True, 'text': 'thé "vert"\n'},
        {'decimals': [1e-30, 16777215], 'integers': 2147483647, 'flag': False, 'text': ''},
    ]
    status, content = server.raw_http(
        'POST', PREDICT, {'signature_name': 'echo', 'instances': rows}
    )
    assert status == 200
    assert b'"decimals": [0.1, -2.0]' in content
    assert json.loads(content)['predictions'] == [
        {**row, 'raw_bytes': {'b64': base64.b64encode(row['text'].encode()).decode()}}
        for row in rows
    ]


def test_binary_data_survives_only_in_an_output_named_bytes(server: RunningServer) -> None:
    row = {'decimals': [0, 0], 'integers': 0, 'flag': True, 'text': b64(b'\xff\x00\xd8')}
    status, content = server.raw_http(
        'POST', PREDICT, {'signature_name': 'echo', 'instances': [row]}
    )
    assert status == 200
    assert (
        b64(b'\xff\x00\xd8')
        == json.loads(content.decode(errors='replace'))['predictions'][0]['raw_bytes']
    )
    assert b'"text": "\xff\\u0000\xd8"' in content  # raw, as in TensorFlow Serving


def test_nan_and_infinity_survive_a_round_trip(server: RunningServer) -> None:
    body = (
        '{"signature_name": "echo", "inputs": {"decimals": [[NaN, -Infinity]], '
        '"integers": [1], "flag": [true], "text": ["x"]}}'
    )
    status, content = server.raw_http('POST', PREDICT, body)
    assert status == 200
    assert b'[[NaN, -Infinity]]' in content


ECHO = {'decimals': [1.0, 2.0], 'integers': 1, 'flag': True, 'text': 'x'}


@pytest.mark.parametrize(
    ('body', 'reason'),
    [
        ('{"instances": [', 'JSON Parse error'),
        ('', 'JSON Parse error'),
        (b'\xff\xfe\xfd', 'JSON Parse error'),
        ('[' * 100_000, 'JSON Parse error'),
        ('[1]', 'Is not object'),
        ('{}', "Missing 'inputs' or 'instances' key"),
        ('{"instances": []}', "No values in 'instances' array"),
        ('{"signature_name": 5, "instances": ["x"]}', "'signature_name' key must be a string"),
        ('{"signature_name": "none", "instances": ["x"]}', '"none" not found'),
        ('{"instances": [{"b64": "!!!!"}]}', 'Unable to base64 decode'),
        ('{"instances": [{"b64": "é"}]}', 'Unable to base64 decode'),
        ('{"instances": [{"b64": "aGVsbG8="}]}', 'Unknown image file format'),
        ('{"instances": ["not a picture"]}', 'Unknown image file format'),
        ('{"instances": [[{"b64": "aGVsbG8="}]]}', 'from a tensor with shape [1]'),
        ('{"inputs": {"b64": "aGVsbG8="}}', ''),  # whichever operation fails first
        ('{"instances": [' + '[' * 300 + ']' * 300 + ']}', 'at most 254 dimensions'),
        ('{"instances": ["x"], "signature_name": "types"}', 'is a plain list'),
    ],
)  # fmt: skip
def test_an_invalid_request_returns_the_reason_and_the_server_keeps_running(
    server: RunningServer, body: Any, reason: str
) -> None:
    status, response = server.http('POST', PREDICT, body)
    assert status == 400
    assert reason in response['error']
    assert server.process.poll() is None


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'integers': 1.0}, 'JSON Value: 1.0 Type: Number is not of expected type: int32'),
        ({'decimals': [1.0, [2.0]]}, 'Encountered list at unexpected level'),
        ({'other': 5}, 'does not have named input: other'),
    ],
)
def test_a_value_of_the_wrong_type_is_rejected(
    server: RunningServer, change: dict[str, object], reason: str
) -> None:
    body = {'signature_name': 'echo', 'instances': [ECHO | change]}
    status, response = server.http('POST', PREDICT, body)
    assert status == 400
    assert reason in response['error']
    assert server.http('POST', PREDICT, {**body, 'instances': [ECHO]})[0] == 200


def test_types_without_a_json_form_are_not_implemented(server: RunningServer) -> None:
    body = {'signature_name': 'types', 'inputs': {'half': [1], 'bfloat16': [1], 'complex64': [1],
                                                  'int8': [1], 'uint16': [1]}}  # fmt: skip
    status, response = server.http('POST', PREDICT, body)
    assert (status, response['error'][:35]) == (501, 'Conversion of JSON Value: 1 to type')


@pytest.mark.parametrize(
    ('method', 'path', 'status', 'error'),
    [
        ('POST', '/v1/models/other:predict', 404, 'Servable not found for request: Latest(other)'),
        (
            'POST',
            '/v1/models/colours/versions/4:predict',
            404,
            'Servable not found for request: Specific(colours, 4)',
        ),
        (
            'POST',
            '/v1/models/colours/labels/stable:predict',
            400,
            'Unrecognized servable version label: stable',
        ),
        ('GET', '/v1/models/other', 404, 'Could not find any versions of model other'),
        ('GET', '/v1/models/colours/versions/4', 404, 'Could not find version 4 of model colours'),
        ('GET', '/v1/models/other/metadata', 404, 'Servable not found for request: Latest(other)'),
        ('GET', PREDICT, 400, f'Malformed request: GET {PREDICT}'),
        ('POST', '/v1/models/colours', 400, 'Malformed request: POST /v1/models/colours'),
        ('OPTIONS', PREDICT, 400, f'Malformed request: OPTIONS {PREDICT}'),
        ('GET', '/v1/models', 400, 'Missing model name in request.'),
        ('GET', '/v2/health', 404, 'there is nothing at /v2/health; paths begin with /v1/models/'),
        ('POST', '/v1/models/colours:classify', 501, 'classify is not implemented; use predict'),
    ],
)
def test_unknown_models_versions_and_paths_return_the_errors_of_tensorflow_serving(
    server: RunningServer, method: str, path: str, status: int, error: str
) -> None:
    body = {'instances': ['x']} if method == 'POST' else None
    assert server.http(method, path, body) == (status, {'error': error})


def test_a_request_of_20_mib_is_accepted(server: RunningServer) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2300, 2300, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, 'PNG')
    assert len(file.getvalue()) > 15 << 20
    status, response = server.http('POST', PREDICT, {'instances': [b64(file.getvalue())]})
    assert status == 200
    assert len(response['predictions'][0]['label']) == 3
