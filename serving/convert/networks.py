"""Converts a network, with int8 weights and activations if it is calibrated."""

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from catalog.errors import UserError
from catalog.networks.network import FILES, IMAGES, PRODUCT, Precision, RuntimeName
from serving.convert.source import Source, freeze

ONNX_OPSET = 18

Images = npt.NDArray[np.uint8]

# These of the network's end stay in float32: probabilities, and counts of views, which may be
# larger than any in the calibration.
_FLOAT_IN_LITERT = [
    'DIV', 'L2_NORMALIZATION', 'LOG', 'MAXIMUM', 'SOFTMAX', 'UNSORTED_SEGMENT_SUM',
]  # fmt: skip


def write_network(
    source: Source,
    folder: Path,
    *,
    runtime: RuntimeName,
    precision: Precision,
    calibration: Sequence[Images],
) -> None:
    """Converts the network of a model and writes its file.

    Args:
      source: The model.
      folder: Where the file is written.
      runtime: The runtime it is for.
      precision: `int8` is calibrated; `bf16` stores half of the bytes.
      calibration: Images uint8 [H, W, 3]; empty unless the precision is int8.

    Raises:
      UserError: If the network cannot be quantized.
    """
    path = str(folder / FILES[runtime])
    match runtime:
        case 'openvino':
            _write_openvino(source, path, precision=precision, calibration=calibration)
        case 'onnx':
            _write_onnx(source, path, calibration=calibration)
        case 'litert':
            _write_litert(source, path, calibration=calibration)


def _write_openvino(
    source: Source, path: str, *, precision: Precision, calibration: Sequence[Images]
) -> None:
    import openvino

    network = openvino.convert_model(source.network)
    if calibration:
        network = _quantize(network, calibration)
    openvino.save_model(network, path, compress_to_fp16=precision == 'bf16')


def _write_onnx(source: Source, path: str, *, calibration: Sequence[Images]) -> None:
    import onnx
    import tf2onnx

    frozen = freeze(source)
    names = {
        **{
            tensor.name: name for tensor, name in zip(frozen.inputs, (IMAGES, PRODUCT), strict=True)
        },
        **{
            tensor.name: name
            for tensor, name in zip(
                frozen.outputs, sorted(source.network.structured_outputs), strict=True
            )
        },
    }
    network, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        name='network',
        opset=ONNX_OPSET,
        input_names=[tensor.name for tensor in frozen.inputs],
        output_names=[tensor.name for tensor in frozen.outputs],
        tensors_to_rename=names,
    )
    if calibration:
        network = _quantize_onnx(network, calibration)
    onnx.save(network, path)


def _write_litert(source: Source, path: str, *, calibration: Sequence[Images]) -> None:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([source.network], source.loaded)
    content = _quantized_litert(converter, calibration) if calibration else converter.convert()
    Path(path).write_bytes(content)


def _quantized_litert(converter: Any, calibration: Sequence[Images]) -> bytes:
    def feeds() -> Iterator[dict[str, npt.NDArray[Any]]]:
        return (_feed(image) for image in calibration)

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = feeds
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter,
        debug_dataset=feeds,
        debug_options=tf.lite.experimental.QuantizationDebugOptions(
            denylisted_ops=_FLOAT_IN_LITERT
        ),
    )
    content: bytes = debugger.get_nondebug_quantized_model()
    return content


def _quantize_onnx(network: Any, calibration: Sequence[Images]) -> Any:
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail

    try:
        return _quantize(network, calibration)
    except Fail as error:  # NNCF cut a part of the network that ONNX Runtime refuses
        raise UserError(
            f'--to=onnx --precision=int8: NNCF cannot quantize this network, got {error}; '
            '--to=openvino may'
        ) from error


def _quantize(network: Any, calibration: Sequence[Images]) -> Any:
    import nncf

    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # its progress, also where it is no terminal
        return nncf.quantize(
            network,
            nncf.Dataset(list(calibration), _feed),
            subset_size=len(calibration),
            # Slower than NNCF's defaults, but a sixth of their error (docs/serving_speed.md).
            preset=nncf.QuantizationPreset.MIXED,
            fast_bias_correction=False,
        )


def _feed(image: Images) -> dict[str, npt.NDArray[Any]]:
    return {IMAGES: image[np.newaxis], PRODUCT: np.zeros(1, np.int64)}
