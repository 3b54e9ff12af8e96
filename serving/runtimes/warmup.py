"""Replays a version's warm-up requests, so that its first users do not wait.

Specification: https://www.tensorflow.org/tfx/serving/saved_model_warmup.
"""

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from catalog.formats import tfrecord
from serving.protocol import tensors
from serving.runtimes.model import Model

FILE = 'assets.extra/tf_serving_warmup_requests'  # TFRecords of PredictionLog
MAX_RECORDS = 1000


def replay(model: Model, path: str) -> int:
    """Runs the warm-up requests of a version folder and returns their number.

    Raises:
      CorruptRecord: If the file is damaged.
      ValueError: If a record is not a Predict request, or if there are more than MAX_RECORDS.
      RequestError: If the model rejects a request.
    """
    file = f'{path}/{FILE}'
    if not tf.io.gfile.exists(file):
        return 0
    count = 0
    with tf.io.gfile.GFile(file, 'rb') as stream:
        for record in tfrecord.read(stream):
            count += 1
            if count > MAX_RECORDS:
                raise ValueError(f'{FILE} must have at most {MAX_RECORDS} records, got more')
            _run(model, prediction_log_pb2.PredictionLog.FromString(record))
    return count


def _run(model: Model, log: prediction_log_pb2.PredictionLog) -> None:
    kind = log.WhichOneof('log_type')
    if kind != 'predict_log':
        raise ValueError(f'{FILE} must contain predict_log records, got {kind}')
    request = log.predict_log.request
    inputs = {name: tensors.read_array(proto) for name, proto in request.inputs.items()}
    model.run(request.model_spec.signature_name, inputs, outputs=list(request.output_filter))
