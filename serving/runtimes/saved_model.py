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

from serving.protocol.status import Code, RequestError
from serving.runtimes import signatures
from serving.runtimes.model import Arrays

# The nodes of the graph that TensorFlow adds before and after a reason.
_NODES = re.compile(r'\[\[\{\{.*?\}\}\]\]|\{\{.*?\}\} ?| ?\[Op:\w*\]')

# How the graph of trainer.export gives a reason that is a sentence.
_REASON = re.compile(
    r'assertion failed: \[(?P<sentence>.*)\]'
    r'|StringToNumberOp could not correctly convert string: (?P<text>.*)',
    re.DOTALL,
)

v1 = tf.compat.v1


class SavedModel:
    """A session on a SavedModel. `run` may be called from many threads.

    Attributes:
      signatures: tensorflow.SignatureDef by name.
      runtime: TensorFlow Serving's name of a session on a graph.
    """

    runtime = 'TF1'

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
        """Runs a signature, see `Model`; errors of the graph keep their code."""
        signature = signatures.find(self.signatures, signature_name)
        signatures.check_inputs(signature, inputs)
        feeds = {
            self._placeholders[signature.inputs[name].name]: array for name, array in inputs.items()
        }
        fetches = {
            name: signature.outputs[name].name
            for name in signatures.output_names(signature, outputs)
        }
        try:
            values = self._session.run(fetches, feeds, options=_run_options(timeout_seconds))
        except tf.errors.OpError as error:
            raise to_request_error(error) from error
        return {name: _array(value) for name, value in values.items()}

    def close(self) -> None:
        """Frees the model's memory. No run may be in progress."""
        self._session.close()


def to_request_error(error: Any) -> RequestError:
    """Returns a `tf.errors.OpError` as a RequestError of the same code, without the stack trace."""
    reason = str(error.message).removeprefix('Graph execution error:').strip()
    reason = _NODES.sub('', reason.split('\n\nOriginal stack trace')[0]).strip()
    if found := _REASON.fullmatch(reason):
        reason = (found['sentence'] or found['text']).replace('] [', ' ')
    return RequestError(Code(error.error_code), reason)


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


def _run_options(timeout_seconds: float | None) -> Any:
    if timeout_seconds is None:
        return None
    if timeout_seconds <= 0:
        raise RequestError(Code.DEADLINE_EXCEEDED, 'the deadline expired before the run started')
    # At least one millisecond: zero would mean no limit.
    return v1.RunOptions(timeout_in_ms=min(max(1, round(timeout_seconds * 1000)), 1 << 31))


def _array(value: Any) -> npt.NDArray[Any]:
    return np.asarray(value, object) if isinstance(value, bytes) else np.asarray(value)
