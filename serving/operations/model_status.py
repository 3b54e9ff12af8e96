"""The operation `status`: the versions of a model on the server, and their states."""

from dataclasses import dataclass
from typing import Any, ClassVar

from serving.operations.endpoint import Endpoint
from serving.operations.operation import HttpRequest, fill_spec, model_path, shown
from serving.protocol import messages

_STATES = {0: 'UNKNOWN', 10: 'START', 20: 'LOADING', 30: 'AVAILABLE', 40: 'UNLOADING', 50: 'END'}


@dataclass(frozen=True)
class VersionStatus:
    """A version of a model.

    Attributes:
      version: Its number.
      state: START, LOADING, AVAILABLE, UNLOADING or END.
      error: Why it could not be loaded, '' if nothing is wrong.
    """

    version: int
    state: str
    error: str = ''

    @property
    def is_available(self) -> bool:
        """Whether it answers requests."""
        return self.state == 'AVAILABLE'


@dataclass(frozen=True)
class GetStatus:
    """Asks for the status of the endpoint's model, or of its version."""

    rpc: ClassVar[str] = 'ModelService/GetModelStatus'
    response_class: ClassVar[Any] = messages.GetModelStatusResponse

    def to_message(self, endpoint: Endpoint) -> Any:
        """Returns the GetModelStatusRequest."""
        message = messages.GetModelStatusRequest()
        fill_spec(message.model_spec, endpoint)
        return message

    def parse_message(self, message: Any) -> tuple[VersionStatus, ...]:
        """Returns the versions in a GetModelStatusResponse."""
        return tuple(
            VersionStatus(
                version.version,
                _STATES.get(version.state, str(version.state)),
                version.status.error_message,
            )
            for version in message.model_version_status
        )

    def to_http(self, endpoint: Endpoint) -> HttpRequest:
        """Returns the request."""
        return HttpRequest('GET', model_path(endpoint))

    def parse_json(self, document: dict[str, Any]) -> tuple[VersionStatus, ...]:
        """Returns the versions in a response."""
        try:
            return tuple(
                VersionStatus(
                    int(version['version']),
                    str(version['state']),
                    str(version.get('status', {}).get('error_message', '')),
                )
                for version in document['model_version_status']
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f'must return model_version_status, got {shown(document)}') from error
