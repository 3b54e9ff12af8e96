"""Warm-up requests of TensorFlow Serving."""

from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2


def test_the_warm_up_requests_are_valid_and_run(exported: Path, loaded: Any) -> None:
    path = str(exported / 'assets.extra' / 'tf_serving_warmup_requests')
    logs = [
        prediction_log_pb2.PredictionLog.FromString(data.numpy())
        for data in tf.data.TFRecordDataset(path)
    ]
    requests = [log.predict_log.request for log in logs]
    assert [request.model_spec.signature_name for request in requests] == [
        'serving_default',
        'product',
        'embedding',
        'pixels',
    ]
    for request in requests:
        assert request.model_spec.name == 'clothes'
        inputs = {name: tf.constant(tf.make_ndarray(p)) for name, p in request.inputs.items()}
        outputs = loaded.signatures[request.model_spec.signature_name](**inputs)
        assert all(len(output) == 1 for output in outputs.values())
