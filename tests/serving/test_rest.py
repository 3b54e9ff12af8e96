"""TensorFlow Serving's HTTP paths and JSON, asked for with plain HTTP."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.serving.colours import BLUE, RED, b64, jpeg
from tests.serving.running import RunningServer

PREDICT = '/v1/models/colours:predict'


def expected(module: Any, *pictures: bytes) -> dict[str, Any]:
    """The model's own answer, with strings as text."""
    answer = module.serving_default(np.array(pictures, object))
    arrays = {name: tensor.numpy() for name, tensor in answer.items()}
    return {
        name: np.vectorize(bytes.decode)(array) if array.dtype.hasobject else array
        for name, array in arrays.items()
    }


def test_status_of_a_model_tells_its_version(server: RunningServer) -> None:
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


def test_metadata_tells_the_signatures(server: RunningServer) -> None:
    status, answer = server.http('GET', '/v1/models/colours/metadata')
    assert status == 200
    assert answer['model_spec'] == {'name': 'colours', 'signature_name': '', 'version': '3'}
    signature = answer['metadata']['signature_def']['signature_def']['serving_default']
    assert signature['method_name'] == 'tensorflow/serving/predict'
    assert signature['inputs']['image_bytes']['dtype'] == 'DT_STRING'
    assert signature['inputs']['image_bytes']['tensor_shape'] == {
        'dim': [{'size': '-1', 'name': ''}],
        'unknown_rank': False,
    }
    assert set(signature['outputs']) == {
        'label', 'category_id', 'confidence', 'level1', 'level2', 'level3',
    }  # fmt: skip
    assert server.http('GET', '/v1/models/colours/versions/3/metadata') == (200, answer)


@pytest.mark.parametrize('path', [PREDICT, '/v1/models/colours/versions/3:predict'])
def test_rows_answer_one_object_a_photo(server: RunningServer, module: Any, path: str) -> None:
    red, blue = jpeg(RED), jpeg(BLUE)
    status, answer = server.http('POST', path, {'instances': [b64(red), b64(blue)]})
    assert status == 200
    wanted = expected(module, red, blue)
    for row, prediction in enumerate(answer['predictions']):
        assert set(prediction) == set(wanted)
        for name in wanted:
            got = np.array(prediction[name], wanted[name].dtype)
            np.testing.assert_array_equal(got, wanted[name][row])
    assert len(answer['predictions']) == 2


def test_the_name_of_an_only_input_may_be_given(server: RunningServer) -> None:
    photo = b64(jpeg(RED))
    bare = server.http('POST', PREDICT, {'instances': [photo]})
    assert bare[0] == 200
    named = {'signature_name': 'serving_default', 'instances': [{'image_bytes': photo}]}
    assert server.http('POST', PREDICT, named) == bare


def test_columns_answer_whole_tensors(server: RunningServer, module: Any) -> None:
    red, blue = jpeg(RED), jpeg(BLUE)
    status, answer = server.http('POST', PREDICT, {'inputs': [b64(red), b64(blue)]})
    assert status == 200
    for name, wanted in expected(module, red, blue).items():
        np.testing.assert_array_equal(np.array(answer['outputs'][name], wanted.dtype), wanted)


def test_the_name_of_an_only_output_is_left_out(server: RunningServer, module: Any) -> None:
    red = jpeg(RED)
    wanted = module.embedding(np.array([red], object))['embedding'].numpy()
    body = {'signature_name': 'embedding', 'instances': [b64(red)]}
    status, answer = server.http('POST', PREDICT, body)
    assert status == 200
    np.testing.assert_array_equal(np.array(answer['predictions'], np.float32), wanted)
    body = {'signature_name': 'embedding', 'inputs': {'image_bytes': [b64(red)]}}
    status, answer = server.http('POST', PREDICT, body)
    np.testing.assert_array_equal(np.array(answer['outputs'], np.float32), wanted)


def test_the_product_signature_takes_views_and_answers_products(
    server: RunningServer, module: Any
) -> None:
    views = [jpeg(RED), jpeg(BLUE), jpeg(BLUE)]
    body = {
        'signature_name': 'product',
        'inputs': {'image_bytes': [b64(view) for view in views], 'product': [0, 0, 1]},
    }
    status, answer = server.http('POST', PREDICT, body)
    assert status == 200
    wanted = module.product(np.array(views, object), np.array([0, 0, 1]))
    for name in ('confidence', 'label', 'level'):
        np.testing.assert_array_equal(
            np.array(answer['outputs'][name], wanted[name].dtype.as_numpy_dtype), wanted[name]
        )


def test_values_of_every_type_come_back_as_they_were_sent(server: RunningServer) -> None:
    rows = [
        {'decimals': [0.1, -2], 'whole': -7, 'flag': True, 'text': 'thé "vert"\n'},
        {'decimals': [1e-30, 16777216], 'whole': 2147483647, 'flag': False, 'text': ''},
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


def test_bytes_that_are_no_text_come_back_only_under_a_bytes_name(server: RunningServer) -> None:
    row = {'decimals': [0, 0], 'whole': 0, 'flag': True, 'text': b64(b'\xff\x00\xd8')}
    status, content = server.raw_http(
        'POST', PREDICT, {'signature_name': 'echo', 'instances': [row]}
    )
    assert status == 200
    assert (
        b64(b'\xff\x00\xd8')
        == json.loads(content.decode(errors='replace'))['predictions'][0]['raw_bytes']
    )
    assert b'"text": "\xff\\u0000\xd8"' in content  # as TensorFlow Serving: not base64, not UTF-8


def test_not_a_number_and_infinity_pass_both_ways(server: RunningServer) -> None:
    body = (
        '{"signature_name": "echo", "inputs": {"decimals": [[NaN, -Infinity]], '
        '"whole": [1], "flag": [true], "text": ["x"]}}'
    )
    status, content = server.raw_http('POST', PREDICT, body)
    assert status == 200
    assert b'[[NaN, -Infinity]]' in content


ECHO = {'decimals': [1.0, 2.0], 'whole': 1, 'flag': True, 'text': 'x'}


@pytest.mark.parametrize(
    ('body', 'reason'),
    [
        ('{"instances": [', 'JSON Parse error'),
        ('', 'JSON Parse error'),
        (b'\xff\xfe\xfd', 'JSON Parse error'),
        ('[' * 100_000, 'JSON Parse error'),
        ('[1]', 'must be a JSON object'),
        ('{}', "'instances' and 'inputs'"),
        ('{"instances": ["x"], "inputs": ["x"]}', "'instances' and 'inputs'"),
        ('{"instances": []}', 'at least one value'),
        ('{"instances": "x"}', 'at least one value'),
        ('{"signature_name": 5, "instances": ["x"]}', "'signature_name' key must be a string"),
        ('{"signature_name": "none", "instances": ["x"]}', '"none" not found'),
        ('{"instances": [{"b64": "!!!!"}]}', 'must be base64'),
        ('{"instances": [{"b64": "QQQQQ"}]}', 'must be base64'),
        ('{"instances": [{"b64": "é"}]}', 'must be base64'),
        ('{"instances": [{"b64": "aGVsbG8="}]}', 'Unknown image file format'),
        ('{"instances": ["not a picture"]}', 'Unknown image file format'),
        ('{"instances": [1.5]}', 'must be string, got 1.5'),
        ('{"instances": [null]}', 'must be string, got null'),
        ('{"instances": [[{"b64": "aGVsbG8="}]]}', 'must have shape'),
        ('{"inputs": {"b64": "aGVsbG8="}}', 'must have shape'),
        ('{"inputs": {"photo": ["x"]}}', "Missing named input: image_bytes"),
        ('{"inputs": {}}', "Missing named input: image_bytes"),
        ('{"instances": ["x", {"image_bytes": "x"}]}', 'in all rows or in none'),
        ('{"instances": ["x", ["x"]]}', 'rows must have one shape'),
    ],
)  # fmt: skip
def test_a_request_that_is_wrong_is_told_why_and_the_server_goes_on(
    server: RunningServer, body: Any, reason: str
) -> None:
    status, answer = server.http('POST', PREDICT, body)
    assert status == 400
    assert reason in answer['error']
    assert server.process.poll() is None


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'whole': 1.0}, 'must be int32, got 1.0'),
        ({'whole': True}, 'must be int32, got true'),
        ({'whole': 1 << 31}, 'must fit int32'),
        ({'flag': 1}, 'must be bool, got 1'),
        ({'decimals': [1.0]}, 'must have shape'),
        ({'decimals': [1.0, 'x']}, 'must be float32, got "x"'),
        ({'decimals': [1.0, [2.0]]}, 'lists of equal'),
        ({'decimals': [[1.0], 2.0]}, 'lists of equal'),
        ({'text': 5}, 'must be string, got 5'),
        ({'more': 5}, "keys must be ['decimals', 'flag', 'text', 'whole']"),
    ],
)
def test_a_value_of_the_wrong_type_or_shape_is_refused(
    server: RunningServer, change: dict[str, object], reason: str
) -> None:
    body = {'signature_name': 'echo', 'instances': [ECHO | change]}
    status, answer = server.http('POST', PREDICT, body)
    assert status == 400
    assert reason in answer['error']
    assert server.http('POST', PREDICT, {**body, 'instances': [ECHO]})[0] == 200


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
        ('POST', '/v1/models/colours:classify', 501, 'classify is not served here; use predict'),
    ],
)
def test_unknown_models_versions_and_paths_have_tensorflow_servings_errors(
    server: RunningServer, method: str, path: str, status: int, error: str
) -> None:
    body = {'instances': ['x']} if method == 'POST' else None
    assert server.http(method, path, body) == (status, {'error': error})


def test_a_request_of_20_mib_is_taken(server: RunningServer) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2300, 2300, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, 'PNG')
    assert len(file.getvalue()) > 15 << 20
    status, answer = server.http('POST', PREDICT, {'instances': [b64(file.getvalue())]})
    assert status == 200
    assert len(answer['predictions'][0]['label']) == 3
