"""Warm-up requests, which TensorFlow Serving sends to a model before it serves requests.

`assets.extra/tf_serving_warmup_requests` is a TFRecord file of `PredictionLog`:
https://www.tensorflow.org/tfx/serving/saved_model_warmup.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from trainer.config import InputConfig

PATH = 'assets.extra/tf_serving_warmup_requests'


def write(folder: Path, *, model_name: str, input_config: InputConfig) -> None:
    """Writes one request for each signature."""
    path = folder / PATH
    path.parent.mkdir()
    pixels = _pixels(input_config)
    picture = [tf.io.encode_jpeg(pixels).numpy()]
    requests: dict[str, dict[str, Any]] = {
        'serving_default': {'image_bytes': picture},
        'product': {'image_bytes': picture, 'product': np.array([0], np.int64)},
        'embedding': {'image_bytes': picture},
        'pixels': {'images': pixels[np.newaxis]},
    }
    with tf.io.TFRecordWriter(str(path)) as file:
        for signature, inputs in requests.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model_name
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            file.write(log.SerializeToString())


def _pixels(config: InputConfig) -> npt.NDArray[np.uint8]:
    """Returns random pixels in the image size of the model: uint8 [H, W, 3]."""
    return np.random.default_rng(0).integers(0, 256, (config.height, config.width, 3), np.uint8)
