"""One version of a model, loaded: numpy in, numpy out, errors as status codes.

It is run as TensorFlow Serving runs it: a session on the SavedModel's graph, fed and fetched by the
names in a signature. So a deadline stops a run, only asked-for outputs are computed, and what the
graph refuses comes out with the same code. Does not know versions, HTTP or gRPC.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from serving import tensors
from serving.status import Code, RequestError, invalid

DEFAULT_SIGNATURE = 'serving_default'

Arrays = Mapping[str, npt.NDArray[Any]]

v1 = tf.compat.v1


class SavedModel:
    """A session on a SavedModel, for many threads at once.

    Attributes:
      signatures: tensorflow.SignatureDef by name.
    """

    def __init__(self, path: str) -> None:
        """Loads the graph for serving from a version folder, and its variables, tables and assets.

        Raises:
          Exception: of many types, from TensorFlow's loader, if the folder is not a whole model.
        """
        options = v1.ConfigProto(allow_soft_placement=True)
        options.gpu_options.allow_growth = True  # leave room for the version that comes next
        graph = tf.Graph()
        self._session = v1.Session(graph=graph, config=options)
        try:
            with graph.as_default():
                meta_graph = v1.saved_model.loader.load(
                    self._session, [tf.saved_model.SERVING], path
                )
        except BaseException:
            self.close()
            raise
        self.signatures: Mapping[str, Any] = dict(meta_graph.signature_def)

    def run(
        self,
        signature_name: str,
        inputs: Arrays,
        *,
        outputs: Sequence[str] = (),
        timeout_seconds: float | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Runs a signature.

        Args:
          signature_name: '' stands for the default one.
          inputs: by the signature's names; strings as object arrays of bytes.
          outputs: the names to compute; none means all.
          timeout_seconds: of the run; None means no limit.

        Raises:
          RequestError: FAILED_PRECONDITION for an unknown signature, INVALID_ARGUMENT for inputs
            or outputs that do not fit it, DEADLINE_EXCEEDED, or what the graph itself raises.
        """
        signature = self._signature(signature_name or DEFAULT_SIGNATURE)
        feeds = _feeds(signature, inputs)
        fetches = _fetches(signature, outputs)
        try:
            values = self._session.run(fetches, feeds, options=_run_options(timeout_seconds))
        except tf.errors.OpError as error:
            raise request_error(error) from error
        return {name: _array(value) for name, value in values.items()}

    def close(self) -> None:
        """Frees what the version holds. No run may be under way."""
        self._session.close()

    def _signature(self, name: str) -> Any:
        if name not in self.signatures:
            raise RequestError(
                Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
            )
        return self.signatures[name]


def request_error(error: Any) -> RequestError:
    """What TensorFlow raised (a `tf.errors.OpError`), with its own code and reason."""
    reason = str(error.message).removeprefix('Graph execution error:').strip()
    return RequestError(Code(error.error_code), reason.split('\n\nOriginal stack trace')[0])


def _feeds(signature: Any, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
    extra = sorted(set(inputs) - set(signature.inputs))
    missing = sorted(set(signature.inputs) - set(inputs))
    if extra or missing:
        raise invalid(
            f'inputs must be {{{",".join(sorted(signature.inputs))}}}. '
            f'Sent extra: {{{",".join(extra)}}}. Missing but required: {{{",".join(missing)}}}.'
        )
    for name, array in inputs.items():
        _check(name, array, info=signature.inputs[name])
    return {signature.inputs[name].name: array for name, array in inputs.items()}


def _check(name: str, array: npt.NDArray[Any], *, info: Any) -> None:
    wanted, got = tf.as_dtype(info.dtype), tf.as_dtype(array.dtype)
    if wanted != got:
        raise invalid(f"input '{name}' must be {wanted.name}, got {got.name}")
    if not tf.TensorShape(info.tensor_shape).is_compatible_with(array.shape):
        shape = tf.TensorShape(info.tensor_shape)
        raise invalid(f"input '{name}' must have shape {shape}, got {list(array.shape)}")


def _fetches(signature: Any, names: Sequence[str]) -> dict[str, str]:
    unknown = sorted(set(names) - set(signature.outputs))
    if unknown or len(set(names)) < len(names):
        raise invalid(
            f'outputs must be distinct and in {{{",".join(sorted(signature.outputs))}}}, '
            f'got {list(names)}'
        )
    return {name: signature.outputs[name].name for name in names or signature.outputs}


def _run_options(timeout_seconds: float | None) -> Any:
    if timeout_seconds is None:
        return None
    if timeout_seconds <= 0:
        raise RequestError(Code.DEADLINE_EXCEEDED, 'the deadline passed before the run')
    # At least one millisecond: zero would mean no limit.
    return v1.RunOptions(timeout_in_ms=min(max(1, round(timeout_seconds * 1000)), 1 << 31))


def _array(value: Any) -> npt.NDArray[Any]:
    return np.asarray(value, object) if isinstance(value, bytes) else np.asarray(value)


def input_types(signature: Any) -> dict[str, np.dtype[Any]]:
    """The numpy types of a signature's inputs.

    Raises:
      RequestError: UNIMPLEMENTED for a type that JSON cannot carry here.
    """
    try:
        return {name: tensors.dtype_of(info.dtype) for name, info in signature.inputs.items()}
    except ValueError as error:
        raise RequestError(Code.UNIMPLEMENTED, str(error)) from error
