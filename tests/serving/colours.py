"""A tiny real SavedModel with the signatures of the project's model, and images for it."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import predict_pb2

RED, GREEN, BLUE = (220, 20, 30), (20, 200, 40), (15, 25, 210)
CATEGORY_IDS = [1000010653, 1000010667, 1000004085, 1000004079, 1000004141]
LEVEL1 = ['MODE', 'MODE', 'ÉPICERIE', 'ÉPICERIE', 'JARDIN']
LEVEL2 = ['ROBE', 'JUPE', 'VIN', 'THÉ', 'OUTIL']
LEVEL3 = ['ROBE LONGUE', 'JUPE "PLISSÉE"', 'VIN, ROUGE', 'THÉ VERT', ' BÊCHE ']


def build_module(bias: float, ballast_bytes: int = 0) -> Any:
    """Builds a classifier of mean colours; versions with another `bias` predict differently.

    `ballast_bytes` is the size of a variable that nothing reads.
    """

    class Colours(tf.Module):
        def __init__(self) -> None:
            weights = np.random.default_rng(7).normal(size=(3, 5)).astype(np.float32) * 4
            self.weights = tf.Variable(weights)
            self.ballast = tf.Variable(tf.zeros([ballast_bytes], tf.uint8))
            self.bias = tf.Variable(np.linspace(0, bias, 5, dtype=np.float32))
            self.category_ids = tf.constant(CATEGORY_IDS, tf.int64)
            self.names = [tf.constant(names) for names in (LEVEL1, LEVEL2, LEVEL3)]

        def colours(self, image_bytes: Any) -> Any:  # string [N] -> float32 [N, 3]
            def mean_colour(data: Any) -> Any:
                pixels = tf.io.decode_image(data, channels=3, expand_animations=False)
                return tf.reduce_mean(tf.cast(pixels, tf.float32), [0, 1]) / 255

            return tf.map_fn(
                mean_colour, image_bytes, fn_output_signature=tf.TensorSpec([3], tf.float32)
            )

        def predict(self, colours: Any) -> Any:
            probabilities = tf.nn.softmax(colours @ self.weights + self.bias)
            confidence, label = tf.math.top_k(probabilities, 3)
            level1, level2, level3 = (tf.gather(names, label) for names in self.names)
            return {
                'label': tf.cast(label, tf.int64),
                'category_id': tf.gather(self.category_ids, label),
                'confidence': confidence,
                'level1': level1,
                'level2': level2,
                'level3': level3,
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, 'image_bytes')])
        def serving_default(self, image_bytes: Any) -> Any:
            return self.predict(self.colours(image_bytes))

        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.string, 'image_bytes'),
                tf.TensorSpec([None], tf.int64, 'product'),
            ]
        )
        def product(self, image_bytes: Any, product: Any) -> Any:
            outputs = self.predict(tf.math.segment_mean(self.colours(image_bytes), product))
            confident = tf.cast(outputs['confidence'][:, 0] > 0.5, tf.int64)
            return {**outputs, 'level': 3 * confident}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, 'image_bytes')])
        def embedding(self, image_bytes: Any) -> Any:
            return {'embedding': tf.math.l2_normalize(self.colours(image_bytes), axis=1)}

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, 'images')])
        def pixels(self, images: Any) -> Any:
            colours = tf.reduce_mean(tf.cast(images, tf.float32), [1, 2]) / 255
            embedding = tf.math.l2_normalize(colours, axis=1)
            return {**self.predict(colours), 'embedding': embedding}

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 2], tf.float32, 'decimals'),
                tf.TensorSpec([None], tf.int32, 'integers'),
                tf.TensorSpec([None], tf.bool, 'flag'),
                tf.TensorSpec([None], tf.string, 'text'),
            ]
        )
        def echo(self, decimals: Any, integers: Any, flag: Any, text: Any) -> Any:
            return {
                'decimals': tf.identity(decimals),
                'integers': tf.identity(integers),
                'flag': tf.identity(flag),
                'text': tf.identity(text),
                'raw_bytes': tf.identity(text),
            }

        @tf.function(
            input_signature=[
                tf.TensorSpec([None], getattr(tf, name), name)
                for name in ('half', 'bfloat16', 'complex64', 'int8', 'uint16')
            ]
        )
        def types(self, half: Any, bfloat16: Any, complex64: Any, int8: Any, uint16: Any) -> Any:
            return {
                'half': tf.identity(half),
                'bfloat16': tf.identity(bfloat16),
                'complex64': tf.identity(complex64),
                'int8': tf.identity(int8),
                'uint16': tf.identity(uint16),
            }

        @tf.function(
            input_signature=[
                tf.TensorSpec([], tf.string, 'started_file'),
                tf.TensorSpec([], tf.string, 'awaited_file'),
            ]
        )
        def wait(self, started_file: Any, awaited_file: Any) -> Any:
            """Writes `started_file`, then runs until `awaited_file` exists."""
            with tf.control_dependencies([tf.io.write_file(started_file, '')]):
                rounds = tf.while_loop(
                    lambda _: tf.size(tf.io.matching_files(awaited_file)) == 0,
                    lambda i: [i + 1],
                    [tf.constant(0, tf.int64)],
                )
            return {'rounds': tf.reshape(rounds, [1])}

    return Colours()


def save_version(
    base: Path,
    version: int,
    *,
    bias: float = 1.0,
    warmups: Sequence[bytes] = (),
    ballast_bytes: int = 0,
) -> Any:
    """Writes a version folder under a temporary name, renames it and returns its module."""
    module = build_module(bias, ballast_bytes)
    folder = Path(base) / f'{version}.tmp'
    names = ('serving_default', 'product', 'embedding', 'pixels', 'echo', 'types', 'wait')
    tf.saved_model.save(module, str(folder), {name: getattr(module, name) for name in names})
    if warmups:
        (folder / 'assets.extra').mkdir()
        with tf.io.TFRecordWriter(
            str(folder / 'assets.extra' / 'tf_serving_warmup_requests')
        ) as writer:
            for log in warmups:
                writer.write(log)
    folder.rename(Path(base) / str(version))
    return module


def jpeg(colour: tuple[int, int, int]) -> bytes:
    """Returns a small image of one colour."""
    file = io.BytesIO()
    Image.new('RGB', (16, 12), colour).save(file, 'JPEG', quality=90)
    return file.getvalue()


def b64(data: bytes) -> dict[str, str]:
    """Returns the JSON form of bytes."""
    return {'b64': base64.b64encode(data).decode()}


def predict_request(
    inputs: dict[str, Any],
    *,
    name: str = 'colours',
    signature: str = '',
    version: int | None = None,
) -> Any:
    """Returns the official message. An input is a TensorProto, or a value to convert to one."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for key, value in inputs.items():
        is_proto = hasattr(value, 'tensor_shape')
        request.inputs[key].CopyFrom(value if is_proto else tf.make_tensor_proto(value))
    return request
