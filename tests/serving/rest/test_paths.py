"""Paths, with the results of TensorFlow Serving's http_rest_api_handler_test.cc."""

import pytest

from serving.models.spec import ModelSpec
from serving.protocol.status import Code, RequestError
from serving.rest import paths
from serving.rest.paths import Call


@pytest.mark.parametrize(
    ('method', 'path', 'call'),
    [
        ('GET', '/v1/models/foo', Call('status', ModelSpec('foo'))),
        ('GET', '/v1/models/foo/versions/50', Call('status', ModelSpec('foo', 50))),
        ('GET', '/v1/models/foo/labels/stable', Call('status', ModelSpec('foo', None, 'stable'))),
        ('GET', '/v1/models/foo/metadata', Call('metadata', ModelSpec('foo'))),
        ('GET', '/v1/models/foo/versions/0050/metadata', Call('metadata', ModelSpec('foo', 50))),
        ('GET', '/V1/Models/foo', Call('status', ModelSpec('foo'))),
        ('GET', '/v1/models/a%20b', Call('status', ModelSpec('a b'))),
        ('GET', '/v1/models/foo?x', Call('status', ModelSpec('foo?x'))),  # a query has no meaning
        ('POST', '/v1/models/foo:predict', Call('predict', ModelSpec('foo'))),
        (
            'POST',
            '/v1/models/foo/versions/9223372036854775807:predict',
            Call('predict', ModelSpec('foo', 9223372036854775807)),
        ),
    ],
)
def test_a_path_names_a_call(method: str, path: str, call: Call) -> None:
    assert paths.parse(method, path) == call


@pytest.mark.parametrize(
    ('method', 'path', 'reason'),
    [
        ('GET', '/v1/foo', 'Malformed request: GET /v1/foo'),
        ('POST', '/v1/foo', 'Malformed request: POST /v1/foo'),
        ('GET', '/v1/models', 'Missing model name in request.'),
        ('GET', '/v1/models/debug/model_name', 'Malformed request'),
        ('POST', '/v1/models', 'Malformed request'),
        ('GET', '/v1/models/foo:predict', 'Malformed request'),
        ('GET', '/v1/models/foo/version/50:predict', 'Malformed request'),
        ('POST', '/v1/models/foo/version/50:regress', 'Malformed request'),
        ('POST', '/v1/models/foo/versions/HELLO:regress', 'Malformed request'),
        (
            'POST',
            '/v1/models/foo/versions/18446744073709551615:predict',
            'Failed to convert version',
        ),
        (
            'POST',
            '/v1/models/foo/versions/9223372036854775808:predict',
            'Failed to convert version',
        ),
        ('POST', '/v1/models/foo/versions/' + '9' * 5000 + ':predict', 'Failed to convert version'),
        ('GET', '/v1/models/foo/versions/' + '9' * 5000, 'Failed to convert version'),
        ('POST', '/v1/models/foo/metadata', 'Malformed request'),
        ('POST', '/v1/models/foo/label/some_label:regress', 'Malformed request'),
        ('POST', '/v1/models/foo/versions/50/labels/some_label:regress', 'Malformed request'),
        ('POST', '/v1/models/foo/versions/some_label:regress', 'Malformed request'),
        ('POST', '/v1/models/foo:PREDICT', 'Malformed request'),
        ('POST', '/v1/models/foo:predict?x=1', 'Malformed request'),
        ('PUT', '/v1/models/foo', 'Malformed request: PUT /v1/models/foo'),
    ],
)
def test_other_paths_are_invalid(method: str, path: str, reason: str) -> None:
    with pytest.raises(RequestError, match=reason) as caught:
        paths.parse(method, path)
    assert caught.value.code == Code.INVALID_ARGUMENT


def test_classify_and_regress_are_not_implemented() -> None:
    for verb in ('classify', 'regress'):
        with pytest.raises(RequestError, match=f'{verb} is not implemented') as caught:
            paths.parse('POST', f'/v1/models/foo:{verb}')
        assert caught.value.code == Code.UNIMPLEMENTED
