"""The model's status and metadata as TensorFlow Serving's protos, for both transports."""

from collections.abc import Sequence
from typing import Any

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from serving.models.models import Models
from serving.models.spec import ModelSpec
from serving.protocol.status import invalid_argument

SIGNATURE_DEF = 'signature_def'  # the only metadata field of TensorFlow Serving


def build_status(models: Models, spec: ModelSpec) -> Any:
    """Returns a GetModelStatusResponse.

    Raises:
      RequestError: NOT_FOUND.
    """
    response = get_model_status_pb2.GetModelStatusResponse()
    for version in models.statuses(spec):
        state = get_model_status_pb2.ModelVersionStatus.State.Value(version.state)
        entry = response.model_version_status.add(version=version.version, state=state)
        entry.status.error_code = int(version.code)
        entry.status.error_message = version.message
    return response


def build_metadata(models: Models, spec: ModelSpec, *, fields: Sequence[str]) -> Any:
    """Returns a GetModelMetadataResponse.

    Raises:
      RequestError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label or for a field other than
        `signature_def`.
    """
    if not fields:
        raise invalid_argument('GetModelMetadataRequest must specify at least one metadata_field')
    for field in fields:
        if field != SIGNATURE_DEF:
            raise invalid_argument(f'metadata_field must be {SIGNATURE_DEF}, got {field}')
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = spec.name
    signature_map = get_model_metadata_pb2.SignatureDefMap()
    with models.use(spec) as loaded:
        response.model_spec.version.value = loaded.version
        for name, signature in loaded.model.signatures.items():
            signature_map.signature_def[name].CopyFrom(signature)
    response.metadata[SIGNATURE_DEF].Pack(signature_map)
    return response


def unpack_signatures(response: Any) -> Any:
    """Returns the SignatureDefMap of a GetModelMetadataResponse."""
    signature_map = get_model_metadata_pb2.SignatureDefMap()
    response.metadata[SIGNATURE_DEF].Unpack(signature_map)
    return signature_map
