"""A converted model answers like the SavedModel, in each runtime and behind the server."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from catalog.digests import folder as digests
from serving.clients import Client, requests
from serving.operations.errors import ServingError
from serving.protocol.status import Code, RequestError
from serving.runtimes import opening, warmup
from serving.runtimes.converted_model import ConvertedModel
from serving.runtimes.model import Model
from serving.shard_pictures import labelled
from tests.serving.running import start_server

RUNTIMES = ('openvino', 'onnx', 'litert')


def _png(image: Image.Image, kind: str = 'PNG') -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def _objects(encoded: Sequence[bytes]) -> np.ndarray:
    return np.array(encoded, object)


@pytest.fixture(scope='module')
def pictures(shards: str) -> list[bytes]:
    """Photos of the model's size, and one that is scaled."""
    encoded = [picture.encoded for picture in labelled.read(shards, 'validation', limit=6)]
    large = Image.open(io.BytesIO(encoded[0])).resize((90, 61))
    return [*encoded, _png(large)]


@pytest.fixture(scope='module')
def source(exported: Path) -> Iterator[Model]:
    model = opening.open_model(str(exported))
    yield model
    model.close()


@pytest.fixture(scope='module', params=RUNTIMES)
def model(request: pytest.FixtureRequest, converted: Callable[..., Path]) -> Iterator[Model]:
    model = opening.open_model(str(converted(request.param)))
    assert isinstance(model, ConvertedModel)
    yield model
    model.close()


def _assert_equal(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(actual) == set(expected)
    for name, values in expected.items():
        assert actual[name].dtype == values.dtype
        if values.dtype == np.float32:
            # A picture that is scaled may differ by 1 of 255.
            np.testing.assert_allclose(actual[name], values, atol=2e-3, err_msg=name)
        else:
            np.testing.assert_array_equal(actual[name], values, err_msg=name)


@pytest.mark.parametrize('signature', ['serving_default', 'embedding', 'product', 'pixels'])
def test_each_signature_answers_like_the_saved_model(
    model: Model, source: Model, pictures: list[bytes], signature: str
) -> None:
    inputs: dict[str, np.ndarray] = {'image_bytes': _objects(pictures)}
    if signature == 'product':  # the pictures of a product need not follow each other
        inputs['product'] = np.array([2, 0, 1, 0, 2, 2, 1])
    if signature == 'pixels':
        inputs = {'images': np.stack([Image.open(io.BytesIO(one)) for one in pictures[:-1]])}
    _assert_equal(model.run(signature, inputs), source.run(signature, inputs))
    assert model.signatures[signature] == source.signatures[signature]


def test_only_the_requested_outputs_are_returned(model: Model, pictures: list[bytes]) -> None:
    outputs = model.run('', {'image_bytes': _objects(pictures)}, outputs=['level2', 'label'])
    assert list(outputs) == ['level2', 'label']


def test_the_warm_up_requests_run(model: Model, converted: Callable[..., Path]) -> None:
    assert warmup.replay(model, str(converted('openvino'))) == 4


def _bomb() -> bytes:
    """A PNG of 64 KB with 23,000 x 23,000 pixels."""
    side = 23_000
    rows = zlib.compress(bytes((side + 15) // 8) * side, 9)
    header = struct.pack('>IIBBBBB', side, side, 1, 0, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in [(b'IHDR', header), (b'IDAT', rows), (b'IEND', b'')]
    )


PICTURE = _png(Image.new('RGB', (30, 30)))
REFUSED = {
    'bytes that are no picture': (
        '',
        {'image_bytes': _objects([b'none'])},
        'known format, got bytes that start with 6e6f6e65: convert it to JPEG',
    ),
    'a bomb': ('', {'image_bytes': _objects([PICTURE, _bomb()])}, '67108864 pixels, got 23000x'),
    'tiff': (
        '',
        {'image_bytes': _objects([_png(Image.new('L', (9, 9)), 'TIFF')])},
        r'format tiff cannot be decoded: convert it to JPEG \(serving.query',
    ),
    'no pictures': ('', {'image_bytes': _objects([])}, 'at least one picture, got none'),
    'a matrix of pictures': ('', {'image_bytes': _objects([[PICTURE]])}, r'shape \[N\]'),
    'a product beyond the pictures': (
        'product',
        {'image_bytes': _objects([PICTURE]), 'product': np.array([60_000_000])},
        r'every number from 0 to P-1, got \[60000000\]',
    ),
    'fewer product numbers': (
        'product',
        {'image_bytes': _objects([PICTURE] * 2), 'product': np.array([0])},
        'one number per picture',
    ),
    'images of another size': (
        'pixels',
        {'images': np.zeros((1, 5, 5, 3), np.uint8)},
        r'shape \[N, 28, 28, 3\], got \[1, 5, 5, 3\]',
    ),
    'another type': ('pixels', {'images': np.zeros((1, 28, 28, 3))}, 'must be uint8, got float64'),
    'another input': ('', {'picture': _objects([PICTURE])}, 'Missing but required: {image_bytes}'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_a_request_that_breaks_a_rule_is_refused_by_it(
    converted: Callable[..., Path], name: str
) -> None:
    signature, inputs, rule = REFUSED[name]
    model = opening.open_model(str(converted('openvino')))
    with pytest.raises(RequestError, match=rule) as error:
        model.run(signature, inputs)
    assert error.value.code == Code.INVALID_ARGUMENT
    model.close()


def test_an_expired_deadline_and_an_unknown_signature_have_their_codes(
    model: Model, pictures: list[bytes]
) -> None:
    encoded = {'image_bytes': _objects(pictures)}
    with pytest.raises(RequestError) as error:
        model.run('', encoded, timeout_seconds=-1)
    assert error.value.code == Code.DEADLINE_EXCEEDED
    with pytest.raises(RequestError, match='"classify" not found') as error:
        model.run('classify', encoded)
    assert error.value.code == Code.FAILED_PRECONDITION
    assert len(model.run('', encoded, timeout_seconds=60)['label']) == len(pictures)


def _assert_truncated_pictures_are_refused(transport: str, address: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (28, 28, 3), np.uint8)
    for kind in ('PNG', 'JPEG'):
        encoded = _png(Image.fromarray(noise), kind)
        request = requests.classify([encoded[: len(encoded) // 2]])
        with (
            Client(address, transport=transport, model='colours') as client,
            pytest.raises(ServingError, match=r'(?i)truncated') as error,
        ):
            client.predict(request.signature, request.inputs, deadline_seconds=60)
        assert error.value.code == Code.INVALID_ARGUMENT


def test_the_server_serves_a_converted_model(
    converted: Callable[..., Path], source: Model, pictures: list[bytes]
) -> None:
    folder = converted('openvino')
    assert digests.verify(str(folder)) == 'intact'
    expected = source.run('', {'image_bytes': _objects(pictures)})
    server = start_server(folder.parent)
    try:
        request = requests.classify(pictures)
        for transport, address in (('rest', server.rest), ('grpc', server.grpc)):
            with Client(address, transport=transport, model='colours') as client:
                actual = client.predict(request.signature, request.inputs, deadline_seconds=60)
            np.testing.assert_array_equal(actual['category_id'], expected['category_id'])
            np.testing.assert_allclose(actual['confidence'], expected['confidence'], atol=2e-3)
            _assert_truncated_pictures_are_refused(transport, address)
        status, metadata = server.http('GET', '/v1/models/colours/metadata')
        signatures = metadata['metadata']['signature_def']['signature_def']
        assert status == 200
        assert set(signatures) == {'serving_default', 'product', 'embedding', 'pixels'}
    finally:
        server.kill()


def test_a_damaged_network_is_not_loaded(converted: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / '1'
    folder.mkdir()
    (folder / 'network.json').write_text('{"schema_version": 1, "runtime": "cuda"}')
    with pytest.raises(ValueError, match=r'runtime must be one of openvino, onnx, litert'):
        opening.open_model(str(folder))


def test_probabilities_of_the_network_are_calibrated_as_in_the_saved_model(
    exported: Path, converted: Callable[..., Path], pictures: list[bytes]
) -> None:
    loaded = tf.saved_model.load(str(exported))
    images = np.stack([Image.open(io.BytesIO(one)) for one in pictures[:3]])
    expected = loaded.product_probabilities(tf.constant(images), tf.constant([0, 0, 1], tf.int64))
    model = opening.open_model(str(converted('openvino')))
    inputs = {'image_bytes': _objects(pictures[:3]), 'product': np.array([0, 0, 1])}
    found = model.run('product', inputs)
    np.testing.assert_allclose(
        found['confidence'], -np.sort(-expected.numpy(), axis=1)[:, :3], atol=1e-5
    )
    model.close()


FEEDS = {
    'no pictures': ('', 'image_bytes', _objects([])),
    'no pictures to embed': ('embedding', 'image_bytes', _objects([])),
    'no images': ('pixels', 'images', np.zeros((0, 28, 28, 3), np.uint8)),
    'a matrix of pictures': ('embedding', 'image_bytes', _objects([[PICTURE]])),
    'images of another size': ('pixels', 'images', np.zeros((2, 5, 5, 3), np.uint8)),
    'grey images': ('pixels', 'images', np.zeros((1, 28, 28, 1), np.uint8)),
    'one image': ('pixels', 'images', np.zeros((28, 28, 3), np.uint8)),  # would end the process
}


def test_a_wrong_shape_has_the_same_error_in_every_runtime(
    source: Model, converted: Callable[..., Path]
) -> None:
    openvino = opening.open_model(str(converted('openvino')))
    assert [source.runtime, openvino.runtime] == ['TF1', 'openvino fp32']
    for signature, given, array in FEEDS.values():
        size = 'N' if given == 'image_bytes' else 'N, 28, 28, 3'
        message = f'{given} must have shape [{size}], got {list(array.shape)}'
        if not array.size:
            message = 'a request must have at least one picture, got none'
        for model in (source, openvino):
            with pytest.raises(RequestError) as error:
                model.run(signature, {given: array})
            assert (error.value.code, error.value.message) == (Code.INVALID_ARGUMENT, message)
    openvino.close()
