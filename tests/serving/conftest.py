"""A tiny real SavedModel with the signatures of design.md, and the real server on it."""

import base64
import dataclasses
import http.client
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
CATEGORY_IDS = [1000010653, 1000010667, 1000004085, 1000004079, 1000004141]
LEVEL1 = ['MODE', 'MODE', 'ÉPICERIE', 'ÉPICERIE', 'JARDIN']
LEVEL2 = ['ROBE', 'JUPE', 'VIN', 'THÉ', 'OUTIL']
LEVEL3 = ['ROBE LONGUE', 'JUPE "PLISSÉE"', 'VIN, ROUGE', 'THÉ VERT', ' BÊCHE ']


def build_module(bias):
    """A classifier of mean colours; `bias` tells one version's answers from another's."""
    import tensorflow as tf

    class Colours(tf.Module):
        def __init__(self):
            weights = np.random.default_rng(7).normal(size=(3, 5)).astype(np.float32) * 4
            self.weights = tf.Variable(weights)
            self.bias = tf.Variable(np.linspace(0, bias, 5, dtype=np.float32))
            self.category_ids = tf.constant(CATEGORY_IDS, tf.int64)
            self.names = [tf.constant(names) for names in (LEVEL1, LEVEL2, LEVEL3)]

        def colours(self, image_bytes):  # string [N] -> float32 [N, 3]
            def one(data):
                pixels = tf.io.decode_image(data, channels=3, expand_animations=False)
                return tf.reduce_mean(tf.cast(pixels, tf.float32), [0, 1]) / 255

            return tf.map_fn(one, image_bytes, fn_output_signature=tf.TensorSpec([3], tf.float32))

        def answer(self, colours):
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
        def serving_default(self, image_bytes):
            return self.answer(self.colours(image_bytes))

        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.string, 'image_bytes'),
                tf.TensorSpec([None], tf.int64, 'product'),
            ]
        )
        def product(self, image_bytes, product):
            answers = self.answer(tf.math.segment_mean(self.colours(image_bytes), product))
            sure = tf.cast(answers['confidence'][:, 0] > 0.5, tf.int64)
            return {**answers, 'level': 3 * sure}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, 'image_bytes')])
        def embedding(self, image_bytes):
            return {'embedding': tf.math.l2_normalize(self.colours(image_bytes), axis=1)}

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 2], tf.float32, 'decimals'),
                tf.TensorSpec([None], tf.int32, 'whole'),
                tf.TensorSpec([None], tf.bool, 'flag'),
                tf.TensorSpec([None], tf.string, 'text'),
            ]
        )
        def echo(self, decimals, whole, flag, text):
            return {
                'decimals': tf.identity(decimals),
                'whole': tf.identity(whole),
                'flag': tf.identity(flag),
                'text': tf.identity(text),
                'raw_bytes': tf.identity(text),
            }

        @tf.function(input_signature=[tf.TensorSpec([], tf.int64, 'rounds')])
        def slow(self, rounds):
            matrix = tf.eye(256) * 0.5
            _, last = tf.while_loop(
                lambda i, _: i < rounds,
                lambda i, m: (i + 1, tf.linalg.matmul(m, m) + 0.5 * tf.eye(256)),
                [tf.constant(0, tf.int64), matrix],
            )
            return {'trace': tf.reshape(tf.linalg.trace(last), [1])}

    return Colours()


def save_version(base, version, *, bias=1.0, warmups=()):
    """Writes a version folder under a temporary name, then renames it."""
    import tensorflow as tf

    module = build_module(bias)
    folder = Path(base) / f'{version}.tmp'
    names = ('serving_default', 'product', 'embedding', 'echo', 'slow')
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


@dataclasses.dataclass
class RunningServer:
    process: subprocess.Popen
    ready: str

    @property
    def grpc(self):
        return self.ready.split('gRPC ')[1].split(',')[0]

    @property
    def rest(self):
        return self.ready.split('http://')[1].strip()

    def http(self, method, path, body=None):
        """(status, JSON) of a request."""
        status, content = self.raw_http(method, path, body)
        return status, json.loads(content)

    def raw_http(self, method, path, body=None):
        if isinstance(body, dict):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        connection = http.client.HTTPConnection(self.rest, timeout=60)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def start_server(base, *flags):
    process = subprocess.Popen(
        [
            *(sys.executable, '-m', 'serving.model_server', f'--model_base_path={base}'),
            *('--model_name=colours', '--port=0', '--rest_api_port=0', *flags),
        ],
        cwd=ROOT,
        env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '2'},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    ready = process.stdout.readline()
    if not ready.startswith('ready: '):
        process.kill()
        pytest.fail(f'the server did not start: {ready}{process.stderr.read()}')
    return RunningServer(process, ready)


def jpeg_bytes(colour, size=(16, 12)):
    file = io.BytesIO()
    Image.new('RGB', size, colour).save(file, 'JPEG', quality=90)
    return file.getvalue()


@pytest.fixture(scope='session')
def jpeg():
    """Makes a JPEG of one colour."""
    return jpeg_bytes


@pytest.fixture(scope='session')
def b64():
    return lambda data: {'b64': base64.b64encode(data).decode()}


@pytest.fixture(scope='session')
def save():
    return save_version


@pytest.fixture(scope='session')
def start():
    """Starts servers; those still running are killed at the end."""
    running = []

    def call(base, *flags):
        running.append(start_server(base, *flags))
        return running[-1]

    yield call
    for server in running:
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope='session')
def served(tmp_path_factory):
    """(server, module): a server on version 3, and the module that it was saved from."""
    base = tmp_path_factory.mktemp('colours')
    module = save_version(base, 3)
    server = start_server(base)
    yield server, module
    server.process.kill()
    server.process.wait()


@pytest.fixture(scope='session')
def server(served):
    return served[0]


@pytest.fixture(scope='session')
def module(served):
    """The model itself, in this process: what the server must answer."""
    return served[1]
