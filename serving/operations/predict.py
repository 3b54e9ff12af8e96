"""The operation `predict`: input arrays of a signature to output arrays.

Text is an array of `str`, of type object. An output whose name ends in `_bytes` has `bytes`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from serving.operations.endpoint import Endpoint
from serving.operations.operation import HttpRequest, fill_spec, model_path, shown
from serving.protocol import json_values, messages, tensors
from serving.protocol.names import FLOAT32_OUTPUTS

Array = npt.NDArray[Any]
Outputs = Mapping[str, Array]


@dataclass(frozen=True)
class Predict:
    """Runs a signature of the model.

    Attributes:
      signature: Name of the signature.
      inputs: The inputs by name; strings are `bytes` in arrays of type object.
      only_output: Name of the only output, which the REST API leaves out. None if there are more.
    """

    signature: str
    inputs: Mapping[str, Array]
    only_output: str | None = None
    rpc: ClassVar[str] = 'PredictionService/Predict'
    response_class: ClassVar[Any] = messages.PredictResponse

    def to_message(self, endpoint: Endpoint) -> Any:
        """Returns the PredictRequest.

        Raises:
          ValueError: If the type of an input is not supported.
        """
        message = messages.PredictRequest()
        fill_spec(message.model_spec, endpoint)
        message.model_spec.signature_name = self.signature
        for name, array in self.inputs.items():
            tensors.write_compact(message.inputs[name], array)
        return message

    def parse_message(self, message: Any) -> Outputs:
        """Returns the outputs in a PredictResponse."""
        return {
            name: _decode(name, tensors.read_array(proto))
            for name, proto in message.outputs.items()
        }

    def to_http(self, endpoint: Endpoint) -> HttpRequest:
        """Returns the request in the column format."""
        inputs = {name: _to_json(array) for name, array in self.inputs.items()}
        body = json.dumps({'signature_name': self.signature, 'inputs': inputs})
        return HttpRequest('POST', f'{model_path(endpoint)}:predict', body.encode())

    def parse_json(self, document: dict[str, Any]) -> Outputs:
        """Returns the outputs in a response in the column format."""
        outputs = document.get('outputs')
        if self.only_output is not None and not isinstance(outputs, dict):
            outputs = {self.only_output: outputs}
        if not isinstance(outputs, dict):
            raise ValueError(f'must return named outputs, got {shown(document)}')
        return {name: _from_json(name, value) for name, value in outputs.items()}


def _decode(name: str, array: Array) -> Array:
    """Returns text as `str`."""
    if not array.dtype.hasobject or name.endswith('_bytes'):
        return array
    return _objects([value.decode() for value in array.ravel()], shape=array.shape)


def _objects(values: list[Any], *, shape: tuple[int, ...]) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


def _to_json(array: Array) -> Any:
    if not array.dtype.hasobject:
        return array.tolist()
    encoded = [json_values.encode_bytes(value) for value in array.ravel()]
    return _objects(encoded, shape=array.shape).tolist()


def _from_json(name: str, value: Any) -> Array:
    """Returns the array of nested lists."""
    try:
        if name in FLOAT32_OUTPUTS:
            with np.errstate(over='ignore'):  # too large a number is infinite
                return np.asarray(value, np.float32)
        array = np.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        rule = 'numbers' if name in FLOAT32_OUTPUTS else 'nested lists of one shape'
        raise ValueError(f'{name} must be {rule}: {error}') from error
    if array.dtype.kind in 'biuf':
        return array
    values = list(np.asarray(value, object).ravel())
    if all(isinstance(item, str) for item in values):
        return _objects(values, shape=array.shape)
    if all(json_values.is_encoded_bytes(item) for item in values):
        return _objects([json_values.decode_bytes(item) for item in values], shape=array.shape)
    raise ValueError(f'{name} must be numbers, text or bytes, got {shown(value)}')
