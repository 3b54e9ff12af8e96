"""The export of a model that fuses views, loaded and behind the server."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from catalog.networks.network import RuntimeName
from serving.clients import Client, requests
from serving.convert.conversion import convert
from serving.convert.options import Conversion
from serving.runtimes import opening
from tests.serving.running import start_server
from tests.trainer import fused
from trainer.export import saved_model


@pytest.fixture(scope='module')
def exported(fused_workdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('models') / 'colours' / '1'
    saved_model.export(workdir=str(fused_workdir), output=str(folder), top_k=9, threshold=0.5)
    return folder


@pytest.fixture(scope='module')
def views(half_evidence_folder: str) -> dict[int, tuple[bytes, ...]]:
    """The pictures of a product with two views and of one with three, by number of views."""
    products = fused.products(half_evidence_folder)
    return {
        count: next(tuple(p.pictures) for p in products if len(p.pictures) == count)
        for count in (2, 3)
    }


def _by_label(outputs: Mapping[str, Any], row: int) -> np.ndarray:
    """Returns the confidences in order of the labels."""
    return np.asarray(outputs['confidence'])[row][np.argsort(np.asarray(outputs['label'])[row])]


def test_a_product_is_fused_from_its_first_views_for_any_order_of_products(
    exported: Path, fused_workdir: Path, views: dict[int, tuple[bytes, ...]]
) -> None:
    (a, b), (c, d, e) = views[2], views[3]
    signatures = tf.saved_model.load(str(exported)).signatures
    outputs = signatures['product'](
        image_bytes=tf.constant([c, a, d, b, e, e]),
        product=tf.constant([1, 0, 1, 0, 1, 2], tf.int64),
    )
    for row, taken in enumerate([(a, b), (c, d), (e,)]):
        expected = fused.probabilities(fused_workdir, taken)
        np.testing.assert_allclose(_by_label(outputs, row), expected, atol=1e-5)

    single = signatures['serving_default'](image_bytes=tf.constant([a, e]))
    np.testing.assert_allclose(_by_label(single, 1), _by_label(outputs, 2), atol=1e-6)
    vectors = signatures['embedding'](image_bytes=tf.constant([a, e]))['embedding']
    assert vectors.shape == (2, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize('runtime', ['openvino', 'onnx', 'litert'])
def test_a_converted_model_fuses_the_same_views(
    exported: Path, tmp_path: Path, views: dict[int, tuple[bytes, ...]], runtime: RuntimeName
) -> None:
    folder = str(tmp_path / 'colours' / '1')
    convert(Conversion(str(exported), folder, runtime, 'fp32'), report=lambda line: None)
    (a, b), (c, d, e) = views[2], views[3]
    inputs = {
        'image_bytes': np.array([c, a, d, b, e, e], object),
        'product': np.array([1, 0, 1, 0, 1, 2]),
    }
    actual = opening.open_model(folder).run('product', inputs)
    expected = tf.saved_model.load(str(exported)).signatures['product'](
        image_bytes=tf.constant(inputs['image_bytes'].tolist()),
        product=tf.constant(inputs['product']),
    )
    np.testing.assert_array_equal(actual['label'], expected['label'])
    np.testing.assert_array_equal(actual['level'], expected['level'])
    np.testing.assert_allclose(actual['confidence'], expected['confidence'], atol=1e-5)


def test_the_server_predicts_products_over_both_transports(
    exported: Path, fused_workdir: Path, views: dict[int, tuple[bytes, ...]]
) -> None:
    server = start_server(exported.parent)
    try:
        for pictures, transport in itertools.product(views.values(), ('rest', 'grpc')):
            address = server.rest if transport == 'rest' else server.grpc
            for request, count in (
                (requests.classify_products([pictures]), 1),
                (requests.classify(pictures), len(pictures)),
            ):
                expected = fused.probabilities(fused_workdir, pictures[: 2 if count == 1 else 1])
                with Client(address, transport=transport, model='colours') as client:
                    actual = client.predict(request.signature, request.inputs, deadline_seconds=60)
                assert len(actual['label']) == count
                np.testing.assert_allclose(_by_label(actual, 0), expected, atol=1e-5)
    finally:
        server.kill()
