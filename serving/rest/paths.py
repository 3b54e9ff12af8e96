"""Parses the paths of TensorFlow Serving's REST API.

Source: tensorflow_serving/model_servers/http_rest_api_util.cc, whose patterns match the path with
its query.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from catalog.model_versions.names import read_version
from serving.models.spec import ModelSpec
from serving.protocol.status import Code, RequestError, invalid_argument

Verb = Literal['status', 'metadata', 'predict']

_VERSION = r'(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?'
_POST = re.compile(
    rf'(?i:/v1/models/(?P<name>[^/:]+){_VERSION}):(?P<verb>predict|classify|regress)', re.ASCII
)
_GET = re.compile(
    rf'(?i:/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?:/(?P<verb>metadata))?)', re.ASCII
)
_API = re.compile(r'/v1/.*', re.IGNORECASE)


@dataclass(frozen=True)
class Call:
    """What a request asks for."""

    verb: Verb
    spec: ModelSpec


def is_api(path: str) -> bool:
    """Returns whether a path belongs to the API; errors of its paths are status 400."""
    return bool(_API.fullmatch(path))


def parse(method: str, path: str) -> Call:
    """Returns the call of a request.

    Raises:
      RequestError: INVALID_ARGUMENT, or UNIMPLEMENTED for `classify` and `regress`.
    """
    pattern = {'GET': _GET, 'POST': _POST}.get(method)
    match = pattern.fullmatch(path) if pattern else None
    if not match:
        raise invalid_argument(f'Malformed request: {method} {path}')
    if not match['name']:
        raise invalid_argument('Missing model name in request.')
    spec = ModelSpec(
        name=unquote(match['name']),
        version=_version(match['version']) if match['version'] else None,
        label=unquote(match['label']) if match['label'] else None,
    )
    match match['verb']:
        case 'classify' | 'regress' as verb:
            raise RequestError(Code.UNIMPLEMENTED, f'{verb} is not implemented; use predict')
        case 'predict':
            return Call('predict', spec)
        case None:
            return Call('status', spec)
        case _:
            return Call('metadata', spec)


def _version(digits: str) -> int:
    version = read_version(digits)
    if version is None:
        raise invalid_argument(f'Failed to convert version: {digits[:100]} to numeric.')
    return version
