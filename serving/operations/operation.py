"""What a client can ask of a server, in the form that both transports send."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from serving.operations.endpoint import Endpoint

Result_co = TypeVar('Result_co', covariant=True)


@dataclass(frozen=True)
class HttpRequest:
    """A request of the REST API: method, path below the server, JSON body."""

    method: str
    path: str
    body: bytes = b''


class Operation(Protocol[Result_co]):
    """A request and how its response is read. Methods that parse raise a ValueError."""

    @property
    def rpc(self) -> str:
        """Service and method of gRPC."""

    @property
    def response_class(self) -> Any:
        """Class of gRPC's response."""

    def to_message(self, endpoint: Endpoint) -> Any:
        """Returns gRPC's request."""

    def parse_message(self, message: Any) -> Result_co:
        """Returns the result in gRPC's response."""

    def to_http(self, endpoint: Endpoint) -> HttpRequest:
        """Returns the request of the REST API."""

    def parse_json(self, document: dict[str, Any]) -> Result_co:
        """Returns the result in the JSON of a response."""


def model_path(endpoint: Endpoint) -> str:
    """Returns the path of a model in the REST API."""
    path = f'/v1/models/{quote(endpoint.model, safe="")}'
    if endpoint.version is not None:
        return f'{path}/versions/{endpoint.version}'
    if endpoint.label is not None:
        return f'{path}/labels/{quote(endpoint.label, safe="")}'
    return path


def fill_spec(spec: Any, endpoint: Endpoint) -> None:
    """Writes which model is meant to a ModelSpec."""
    spec.name = endpoint.model
    if endpoint.version is not None:
        spec.version.value = endpoint.version
    elif endpoint.label is not None:
        spec.version_label = endpoint.label


def shown(value: Any) -> str:
    """Returns the beginning of an invalid value, for an error."""
    text = repr(value)
    return text if len(text) <= 200 else f'{text[:200]}...'
