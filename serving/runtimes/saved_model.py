"""A SavedModel, loaded: numpy in, numpy out, errors as status codes.

The model runs as in TensorFlow Serving: a session on the SavedModel's graph, with the tensor names
of a signature. A deadline stops a run, only the requested outputs are computed, and errors of the
graph keep their status code. Knows no versions, no HTTP and no gRPC.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from serving.protocol import tensors
from serving.protocol.names import DEFAULT_SIGNATURE
from serving.protocol.status import Code, RequestError, invalid_argument

# The nodes of the graph that TensorFlow adds before and after a reason.
_NODES = re.compile(r'\[\[\{\{.*?\}\}\]\]|\{\{.*?\}\} ?| ?\[Op:\w*\]')

Arrays = Mapping[str, npt.NDArray[Any]]

v1 = tf.compat.v1


class SavedModel:
    """A session on a SavedModel. `run` may be called from many threads.

    Attributes:
      signatures: tensorflow.SignatureDef by name.
    """

    def __init__(self, path: str) -> None:
        """Loads the serving graph of a version folder, with its variables, tables and assets.

        Raises:
          Exception: If the model is incomplete. TensorFlow's loader raises many types.
        """
        options = v1.ConfigProto(allow_soft_placement=True)
        options.gpu_options.allow_growth = True  # leaves GPU memory for the next version
        graph = tf.Graph()
        self._session = v1.Session(graph=graph, config=options)
        try:
            with graph.as_default():
                self._placeholders = _placeholders(path)
                meta_graph = v1.saved_model.loader.load(
                    self._session,
                    [tf.saved_model.SERVING],
                    path,
                    input_map=self._placeholders,
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
          signature_name: Name of the signature; '' is the default signature.
          inputs: Arrays by input name; strings are object arrays of bytes.
          outputs: Names of the outputs to compute; empty means all.
          timeout_seconds: Time limit of the run; None means no limit.

        Raises:
          RequestError: FAILED_PRECONDITION for an unknown signature, INVALID_ARGUMENT for invalid
            inputs or outputs, DEADLINE_EXCEEDED, or an error of the graph with its own code.
        """
        signature = self._signature(signature_name or DEFAULT_SIGNATURE)
        feeds = {self._placeholders[name]: array for name, array in _feeds(signature, inputs)}
        fetches = _fetches(signature, outputs)
        try:
            values = self._session.run(fetches, feeds, options=_run_options(timeout_seconds))
        except tf.errors.OpError as error:
            raise to_request_error(error) from error
        return {name: _array(value) for name, value in values.items()}

    def close(self) -> None:
        """Frees the model's memory. No run may be in progress."""
        self._session.close()

    def _signature(self, name: str) -> Any:
        if name not in self.signatures:
            raise RequestError(
                Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
            )
        return self.signatures[name]


def input_types(signature: Any) -> dict[str, np.dtype[Any]]:
    """Returns the numpy types of a signature's inputs, by input name.

    Raises:
      RequestError: UNIMPLEMENTED for a type that `tensors` does not support.
    """
    try:
        return {name: tensors.numpy_dtype(info.dtype) for name, info in signature.inputs.items()}
    except ValueError as error:
        raise RequestError(Code.UNIMPLEMENTED, str(error)) from error


def to_request_error(error: Any) -> RequestError:
    """Returns a `tf.errors.OpError` as a RequestError of the same code, without the stack trace."""
    reason = str(error.message).removeprefix('Graph execution error:').strip()
    reason = reason.split('\n\nOriginal stack trace')[0]
    return RequestError(Code(error.error_code), _NODES.sub('', reason).strip())


def _placeholders(path: str) -> dict[str, Any]:
    """Makes a placeholder without a shape for each input of a signature, by tensor name.

    The session would compare a feed with the shape of the model's own placeholder. TensorFlow
    Serving does not: the graph itself accepts or rejects a shape.
    """
    with tf.io.gfile.GFile(f'{path}/{tf.saved_model.SAVED_MODEL_FILENAME_PB}', 'rb') as file:
        saved_model = saved_model_pb2.SavedModel.FromString(file.read())
    return {
        info.name: v1.placeholder(info.dtype, name='feed')
        for meta_graph in saved_model.meta_graphs
        if set(meta_graph.meta_info_def.tags) == {tf.saved_model.SERVING}
        for signature in meta_graph.signature_def.values()
        for info in signature.inputs.values()
    }


def _feeds(signature: Any, inputs: Arrays) -> list[tuple[str, npt.NDArray[Any]]]:
    """Returns the tensor name of each input with its array."""
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
    return [(signature.inputs[name].name, array) for name, array in inputs.items()]


def _fetches(signature: Any, names: Sequence[str]) -> dict[str, str]:
    unknown = sorted(set(names) - set(signature.outputs))
    if unknown or len(set(names)) < len(names):
        raise invalid_argument(
            f'outputs must be distinct and in {{{",".join(sorted(signature.outputs))}}}, '
            f'got {list(names)}'
        )
    return {name: signature.outputs[name].name for name in names or signature.outputs}


def _run_options(timeout_seconds: float | None) -> Any:
    if timeout_seconds is None:
        return None
    if timeout_seconds <= 0:
        raise RequestError(Code.DEADLINE_EXCEEDED, 'the deadline expired before the run started')
    # At least one millisecond: zero would mean no limit.
    return v1.RunOptions(timeout_in_ms=min(max(1, round(timeout_seconds * 1000)), 1 << 31))


def _array(value: Any) -> npt.NDArray[Any]:
    return np.asarray(value, object) if isinstance(value, bytes) else np.asarray(value)
