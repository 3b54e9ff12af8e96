"""Checks a request against a signature, in the words of TensorFlow Serving."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from serving.protocol.names import DEFAULT_SIGNATURE
from serving.protocol.status import Code, RequestError, invalid_argument
from serving.runtimes.model import Arrays


def find(signatures: Mapping[str, Any], name: str) -> Any:
    """Returns a signature; '' is the default one.

    Raises:
      RequestError: FAILED_PRECONDITION if there is none of this name.
    """
    name = name or DEFAULT_SIGNATURE
    if name not in signatures:
        raise RequestError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    return signatures[name]


def check_inputs(signature: Any, inputs: Arrays) -> None:
    """Checks the names and types of inputs.

    Raises:
      RequestError: INVALID_ARGUMENT.
    """
    extra = sorted(set(inputs) - set(signature.inputs))
    missing = sorted(set(signature.inputs) - set(inputs))
    if extra or missing:
        raise invalid_argument(
            f'inputs must be {{{",".join(sorted(signature.inputs))}}}. '
            f'Sent extra: {{{",".join(extra)}}}. Missing but required: {{{",".join(missing)}}}.'
        )
    for name, array in inputs.items():
        expected, got = tf.as_dtype(signature.inputs[name].dtype), tf.as_dtype(array.dtype)
        if expected != got:
            raise invalid_argument(f"input '{name}' must be {expected.name}, got {got.name}")


def output_names(signature: Any, names: Sequence[str]) -> list[str]:
    """Returns the outputs to compute, all of them if none is named.

    Raises:
      RequestError: INVALID_ARGUMENT.
    """
    unknown = sorted(set(names) - set(signature.outputs))
    if unknown or len(set(names)) < len(names):
        raise invalid_argument(
            f'outputs must be distinct and in {{{",".join(sorted(signature.outputs))}}}, '
            f'got {list(names)}'
        )
    return list(names or signature.outputs)
