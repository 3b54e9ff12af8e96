"""Converts the JSON of a predict request to arrays, by TensorFlow Serving's rules.

Specification: https://www.tensorflow.org/tfx/serving/api_rest#request_format_4. The row format has
'instances', one value or object per example, stacked along the first dimension. The column format
has 'inputs', one complete tensor per input.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.protocol import json_values, tensors
from serving.protocol.names import DEFAULT_SIGNATURE
from serving.protocol.status import Code, RequestError, invalid_argument
from serving.rest_json import document, values
from serving.rest_json.values import brief

Types = Mapping[str, np.dtype[Any]]
Signatures = Mapping[str, Mapping[str, int]]  # DataType number of each input, by signature
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class PredictBody:
    """The body of a predict request, its tensors not yet converted.

    Attributes:
      signature_name: Name of the signature; '' is the default signature.
      members: The keys of the body with their values.
    """

    signature_name: str
    members: dict[str, Any]

    @property
    def rows(self) -> bool:
        """Whether the body has the row format; otherwise it has the column format."""
        return 'instances' in self.members


@dataclass(frozen=True)
class Decoded:
    """A predict request.

    Attributes:
      signature_name: Name of the signature.
      rows: Whether the response has the row format too.
      inputs: The input arrays.
    """

    signature_name: str
    rows: bool
    inputs: Arrays


def decode(body: bytes, signatures: Signatures) -> Decoded:
    """Decodes a body, given all signatures of the model.

    Raises:
      RequestError: As `parse` and `build_inputs`; INVALID_ARGUMENT for an unknown signature.
    """
    request = parse(body)
    name = request.signature_name or DEFAULT_SIGNATURE
    if name not in signatures:
        raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
    if not signatures[name]:
        raise invalid_argument(f'Failed to get input map for signature: {name}')
    try:
        types = {key: tensors.numpy_dtype(number) for key, number in signatures[name].items()}
    except ValueError as error:
        raise RequestError(Code.UNIMPLEMENTED, str(error)) from error
    return Decoded(name, request.rows, build_inputs(request, types))


def parse(body: bytes) -> PredictBody:
    """Parses a body and returns its signature.

    Raises:
      RequestError: INVALID_ARGUMENT.
    """
    members = document.parse(body)
    if not isinstance(members, dict):
        raise invalid_argument(f'JSON Value: {brief(members)} Is not object')
    name = members.get('signature_name', '')
    if not isinstance(name, str):
        raise invalid_argument(
            f'JSON Value: {brief(members)} not formatted correctly. '
            "'signature_name' key must be a string value."
        )
    return PredictBody(name, members)


def build_inputs(body: PredictBody, types: Types) -> Arrays:
    """Builds the input arrays of a request, given a signature's input types.

    Raises:
      RequestError: INVALID_ARGUMENT, or UNIMPLEMENTED for a type without a JSON form; the message
        names the input, the row and the problem.
    """
    if 'instances' not in body.members and 'inputs' not in body.members:
        raise invalid_argument("Missing 'inputs' or 'instances' key")
    if 'instances' in body.members and 'inputs' in body.members:
        raise invalid_argument(
            f'JSON Value: {brief(body.members)} Not formatted correctly expecting only one of '
            "'inputs' or 'instances' keys to exist"
        )
    if not body.rows:
        return _from_columns(body.members['inputs'], types)
    rows = body.members['instances']
    if not isinstance(rows, list):
        raise invalid_argument(
            f"JSON Value: {brief(body.members)} Expecting 'instances' to be an list/array"
        )
    if not rows:
        raise invalid_argument(f"JSON Value: {brief(body.members)} No values in 'instances' array")
    return _from_rows(rows, types)


@dataclass
class _Column:
    """The values of an input over the rows.

    Attributes:
      shape: The shape in each row.
      leaves: The values of all rows.
    """

    shape: list[int]
    leaves: list[Any] = field(default_factory=list)


def _from_rows(rows: list[Any], types: Types) -> Arrays:
    named = _is_named(rows[0])
    if not named and len(types) > 1:
        raise invalid_argument(
            'instances is a plain list, but expecting list of objects as multiple input tensors '
            'required as per tensorinfo_map'
        )
    columns: dict[str, _Column] = {}
    for index, row in enumerate(rows):
        if _is_named(row) != named:
            expected, got = ('object', 'list') if named else ('value/list', 'object')
            raise invalid_argument(
                f'Expecting {expected} but got {got} at item {index} of input list'
            )
        for name, value in _members(row, types):
            where = f'Failed to process element: {index}' + (f' key: {name}' if named else '')
            try:
                _add(columns, name, value, types)
            except RequestError as error:
                raise invalid_argument(
                    f"{where} of 'instances' list. Error: {error.code.name}: {error.message}"
                ) from error
        if named and set(row) != set(types):
            raise invalid_argument(
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f'{brief(row)} must only have keys: {",".join(sorted(types))}'
            )
    return {name: _array(column, len(rows), types[name]) for name, column in columns.items()}


def _array(column: _Column, rows: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    shape = [rows, *column.shape]
    # Equal keys in an object give superfluous values, which TensorFlow Serving ignores.
    return values.convert(column.leaves, dtype)[: math.prod(shape)].reshape(shape)


def _members(row: Any, types: Types) -> Iterator[tuple[str, Any]]:
    """Yields the inputs of a row; the name of a single input is optional."""
    if isinstance(row, document.RepeatedKeys):
        yield from row.members
    elif _is_named(row):
        yield from row.items()
    else:
        yield next(iter(types)), row


def _add(columns: dict[str, _Column], name: str, value: Any, types: Types) -> None:
    if name not in types:
        raise invalid_argument(f'JSON object: does not have named input: {name}')
    shape, leaves = values.flatten(value)
    values.check(leaves, types[name])
    column = columns.setdefault(name, _Column(shape))
    if math.prod(shape) != math.prod(column.shape):
        raise invalid_argument(
            f'Expecting tensor size: {math.prod(column.shape)} but got: {math.prod(shape)}'
        )
    if shape != column.shape:
        raise invalid_argument(
            f'Expecting shape {_shape_text(column.shape)} but got: {_shape_text(shape)}'
        )
    column.leaves += leaves


def _shape_text(shape: list[int]) -> str:
    return f'[{",".join(map(str, shape))}]'


def _from_columns(columns: Any, types: Types) -> Arrays:
    if not _is_named(columns):
        if len(types) != 1:
            raise invalid_argument(
                'inputs is a plain value/list, but expecting an object as multiple input tensors '
                'required as per tensorinfo_map'
            )
        columns = {next(iter(types)): columns}
    arrays: Arrays = {}
    for name, dtype in types.items():  # other keys are ignored, as in TensorFlow Serving
        if name not in columns:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        shape, leaves = values.flatten(columns[name])
        values.check(leaves, dtype)
        arrays[name] = values.convert(leaves, dtype).reshape(shape)
    return arrays


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not json_values.is_encoded_bytes(value)
