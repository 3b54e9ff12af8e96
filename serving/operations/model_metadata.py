"""The operation `metadata`: the signatures of a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from google.protobuf.message import DecodeError

from serving.operations.endpoint import Endpoint
from serving.operations.operation import HttpRequest, fill_spec, model_path, shown
from serving.protocol import messages

_FIELD = 'signature_def'

# Names of TensorFlow's DataType numbers, without `DT_`: tensorflow/core/framework/types.proto.
_TYPES = {
    1: 'FLOAT', 2: 'DOUBLE', 3: 'INT32', 4: 'UINT8', 5: 'INT16', 6: 'INT8', 7: 'STRING',
    8: 'COMPLEX64', 9: 'INT64', 10: 'BOOL', 14: 'BFLOAT16', 17: 'UINT16', 18: 'COMPLEX128',
    19: 'HALF', 22: 'UINT32', 23: 'UINT64',
}  # fmt: skip
_USUAL_NAMES = {'float': 'float32', 'double': 'float64', 'half': 'float16'}


@dataclass(frozen=True)
class TensorSpec:
    """An input or output.

    Attributes:
      dtype: Its type, such as `float32` or `string`.
      shape: Its sizes, None where a size may vary. None if the rank is unknown.
    """

    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """A signature: its inputs and outputs by name."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


@dataclass(frozen=True)
class ModelMetadata:
    """A version of a model: its number, and its signatures by name."""

    version: int
    signatures: Mapping[str, Signature]


@dataclass(frozen=True)
class GetMetadata:
    """Asks for the signatures of the endpoint's model."""

    rpc: ClassVar[str] = 'PredictionService/GetModelMetadata'
    response_class: ClassVar[Any] = messages.GetModelMetadataResponse

    def to_message(self, endpoint: Endpoint) -> Any:
        """Returns the GetModelMetadataRequest."""
        message = messages.GetModelMetadataRequest(metadata_field=[_FIELD])
        fill_spec(message.model_spec, endpoint)
        return message

    def parse_message(self, message: Any) -> ModelMetadata:
        """Returns the signatures in a GetModelMetadataResponse."""
        if _FIELD not in message.metadata:
            raise ValueError(f'must return the metadata {_FIELD}, got {list(message.metadata)}')
        try:
            found = messages.SignatureDefMap.FromString(message.metadata[_FIELD].value)
        except DecodeError as error:
            raise ValueError(f'must return signatures, got invalid bytes: {error}') from error
        signatures = {
            name: Signature(
                inputs={key: _from_proto(info) for key, info in signature.inputs.items()},
                outputs={key: _from_proto(info) for key, info in signature.outputs.items()},
            )
            for name, signature in found.signature_def.items()
        }
        return ModelMetadata(message.model_spec.version.value, signatures)

    def to_http(self, endpoint: Endpoint) -> HttpRequest:
        """Returns the request."""
        return HttpRequest('GET', f'{model_path(endpoint)}/metadata')

    def parse_json(self, document: dict[str, Any]) -> ModelMetadata:
        """Returns the signatures in a response."""
        try:
            found = document['metadata'][_FIELD][_FIELD]
            signatures = {
                name: Signature(
                    inputs={key: _from_json(info) for key, info in signature['inputs'].items()},
                    outputs={key: _from_json(info) for key, info in signature['outputs'].items()},
                )
                for name, signature in found.items()
            }
            return ModelMetadata(int(document['model_spec']['version']), signatures)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f'must return metadata, got {shown(document)}') from error


def _dtype(name: str) -> str:
    lower = name.removeprefix('DT_').lower()
    return _USUAL_NAMES.get(lower, lower)


def _sizes(sizes: list[int]) -> tuple[int | None, ...]:
    return tuple(None if size < 0 else size for size in sizes)


def _from_proto(info: Any) -> TensorSpec:
    shape = info.tensor_shape
    sizes = None if shape.unknown_rank else _sizes([dim.size for dim in shape.dim])
    return TensorSpec(_dtype(_TYPES.get(info.dtype, str(info.dtype))), sizes)


def _from_json(info: dict[str, Any]) -> TensorSpec:
    shape = info['tensor_shape']
    sizes = None
    if not shape.get('unknown_rank'):
        sizes = _sizes([int(dim['size']) for dim in shape.get('dim', [])])
    return TensorSpec(_dtype(str(info['dtype'])), sizes)
