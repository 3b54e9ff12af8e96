"""When a model is ready: a version of it is available."""

from collections.abc import Sequence

from serving.operations.endpoint import Endpoint
from serving.operations.errors import ServingError
from serving.operations.model_status import VersionStatus
from serving.protocol.status import Code
from serving.transports.options import Retries

POLL_SECONDS = 0.2
PROBE_SECONDS = 1.0  # limit of one question
NO_RETRIES = Retries(attempts=1)


def reason(versions: Sequence[VersionStatus], endpoint: Endpoint) -> str:
    """Returns '' if the model is ready, otherwise why not."""
    if any(version.is_available for version in versions):
        return ''
    return endpoint.not_available


def timeout(wait_seconds: float, text: str) -> ServingError:
    """Returns the exception of a model that is not ready in time."""
    return ServingError(
        f'the model must be ready within {wait_seconds:g} s: {text}', code=Code.DEADLINE_EXCEEDED
    )
