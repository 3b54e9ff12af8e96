"""Requests drawn from the OpenAPI document, by Schemathesis: answers are as it says, and no 5xx."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from tests.serving.gateway.running import RunningGateway

WITH_INPUT = [
    '/predict',
    '/v1/products:classify',
    '/v1/similar',
    '/v1/similar/{number}/thumbnail',
]
PATHS = [*WITH_INPUT, '/healthz', '/readyz', '/metrics']
# The default checks also send requests without the headers of authentication, and count a photo
# of random bytes as valid.
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.mark.parametrize('path', PATHS)
def test_answers_to_drawn_requests_are_as_the_document_says(
    gateway: RunningGateway, path: str
) -> None:
    schema = schemathesis.openapi.from_url(f'{gateway.address}/openapi.json')
    [operation] = schema[path].values()
    statuses = set()
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        if mode is GenerationMode.NEGATIVE and path not in WITH_INPUT:
            continue  # without parameters, nothing can be wrong

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=25, suppress_health_check=list(HealthCheck))
        def check(case: Any) -> None:
            response = case.call()
            statuses.add(response.status_code)
            case.validate_response(response, checks=CHECKS)

        check()
    assert statuses <= {200, 400, 404, 413, 422}
    assert (statuses == {200}) == (path not in WITH_INPUT)
