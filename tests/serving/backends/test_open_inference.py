"""The gateway before a server of the Open Inference Protocol v2."""

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tritonclient.grpc import service_pb2

from catalog.errors import UserError
from catalog.networks import spec
from catalog.networks.spec import NetworkSpec
from serving.backends.backend import Answer
from serving.backends.open_inference import OpenInference, read_network
from serving.operations.endpoint import Endpoint
from serving.operations.errors import ServingError
from serving.protocol import inference_messages
from serving.protocol.status import Code
from serving.transports.options import ConnectionOptions
from tests.ports import find_free_port
from tests.serving.backends import open_inference_server
from tests.serving.backends.open_inference_server import CLASSES, MODEL, probabilities
from tests.serving.gateway.running import start_gateway

HEIGHT, WIDTH, TOP_K = 8, 8, 3
COLOURS = [(220, 20, 30), (15, 25, 210)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a converted version that the gateway reads."""
    folder = tmp_path_factory.mktemp('network')
    (folder / 'assets').mkdir()
    rows = [
        f'{100 + label},TOP {label // 3},MIDDLE {label // 2},LEAF {label}' for label in range(6)
    ]
    header = 'category_id,category_level1,category_level2,category_level3'
    (folder / 'assets' / 'category_names.csv').write_text('\n'.join([header, *rows]) + '\n')
    spec.write(NetworkSpec('openvino', 'fp32', HEIGHT, WIDTH, TOP_K, 0.5, 1000), str(folder))
    return folder


def picture(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new('RGB', (WIDTH, HEIGHT), colour).save(file, 'PNG')
    return file.getvalue()


def run(
    address: str,
    folder: Path,
    signature: str,
    colours: Sequence[tuple[int, int, int]],
    *,
    model: str = MODEL,
    seconds: float = 60,
) -> Answer:
    async def call() -> Answer:
        backend = OpenInference(
            Endpoint(address, model), ConnectionOptions(), read_network(str(folder))
        )
        try:
            prepared = [backend.prepare(picture(colour)) for colour in colours]
            return await backend.run(signature, prepared, seconds)
        finally:
            await backend.close()

    return asyncio.run(call())


def of_colours(colours: Sequence[tuple[int, int, int]]) -> np.ndarray:
    images = np.array(colours, np.uint8)[:, np.newaxis, np.newaxis]
    return probabilities(np.broadcast_to(images, (len(colours), HEIGHT, WIDTH, 3)))


@pytest.mark.parametrize('raw', [True, False])
def test_the_most_probable_categories_have_the_names_of_the_tree(folder: Path, raw: bool) -> None:
    with open_inference_server.serve(raw=raw) as (address, _):
        answer = run(address, folder, 'serving_default', COLOURS)

    expected = of_colours(COLOURS)
    labels = np.argsort(-expected, axis=1)[:, :TOP_K]
    assert answer.version == '7'
    assert answer.outputs['label'].tolist() == labels.tolist()
    assert answer.outputs['category_id'].tolist() == (100 + labels).tolist()
    np.testing.assert_allclose(
        answer.outputs['confidence'], np.take_along_axis(expected, labels, axis=1), rtol=1e-5
    )
    assert answer.outputs['level3'].tolist() == [[f'LEAF {n}' for n in row] for row in labels]


def test_all_pictures_of_a_product_have_one_answer_and_its_level(folder: Path) -> None:
    with open_inference_server.serve() as (address, _):
        outputs = run(address, folder, 'product', COLOURS).outputs

    expected = of_colours(COLOURS).mean(axis=0)
    best = int(expected.argmax())
    assert outputs['label'].shape == (1, TOP_K)
    assert outputs['label'][0, 0] == best
    sums = [
        sum(p for n, p in enumerate(expected) if n // size == best // size) for size in (3, 2, 1)
    ]
    reached = [level for level, total in enumerate(sums, start=1) if total >= 0.5]
    assert outputs['level'].tolist() == [max(reached, default=0)]


def test_embeddings_are_those_of_each_picture(folder: Path) -> None:
    with open_inference_server.serve() as (address, _):
        outputs = run(address, folder, 'embedding', COLOURS).outputs
    colours = np.array(COLOURS, float)
    expected = colours / np.linalg.norm(colours, axis=1, keepdims=True)
    np.testing.assert_allclose(outputs['embedding'], expected, rtol=1e-5)


def test_messages_have_the_fields_and_numbers_of_the_official_ones() -> None:
    for name in ('ModelReadyRequest', 'ModelReadyResponse', 'ModelInferRequest'):
        compare(getattr(inference_messages, name).DESCRIPTOR, getattr(service_pb2, name).DESCRIPTOR)
    response = inference_messages.ModelInferResponse.DESCRIPTOR
    compare(response, service_pb2.ModelInferResponse.DESCRIPTOR)


def compare(ours: Any, official: Any) -> None:
    assert ours.full_name == official.full_name
    for field in ours.fields:
        other = official.fields_by_name[field.name]
        assert (field.number, field.type) == (other.number, other.type), field.full_name
        assert field.is_repeated == (other.label == other.LABEL_REPEATED), field.full_name
        if field.message_type:
            compare(field.message_type, other.message_type)


@pytest.mark.parametrize(
    ('change', 'code'),
    [
        ({'model': 'absent'}, Code.NOT_FOUND),
        ({'seconds': 0.3}, Code.DEADLINE_EXCEEDED),
    ],
)
def test_a_failed_call_keeps_its_code(folder: Path, change: dict[str, Any], code: Code) -> None:
    with open_inference_server.serve() as (address, network):
        if 'seconds' in change:
            network.go_on.clear()
        with pytest.raises(ServingError) as caught:
            run(address, folder, 'serving_default', COLOURS, **change)
    assert caught.value.code is code


def test_a_network_of_another_tree_is_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / 'assets').mkdir()
    lines = (folder / 'assets' / 'category_names.csv').read_text().splitlines()
    (tmp_path / 'assets' / 'category_names.csv').write_text('\n'.join(lines[:-1]) + '\n')
    (tmp_path / 'network.json').write_bytes((folder / 'network.json').read_bytes())
    with (
        open_inference_server.serve() as (address, _),
        pytest.raises(ServingError, match=f'got \\(2, {CLASSES}\\).*is it another model'),
    ):
        run(address, tmp_path, 'serving_default', COLOURS)


def test_a_folder_that_is_no_converted_network_is_an_error(tmp_path: Path) -> None:
    with pytest.raises((UserError, OSError), match=r'network\.json'):
        read_network(str(tmp_path))


def test_the_gateway_answers_before_such_a_server(folder: Path, tmp_path: Path) -> None:
    with open_inference_server.serve() as (address, network):
        gateway = start_gateway(address, tmp_path / 'log', f'--network={folder}')
        try:
            assert gateway.get('/readyz').status_code == 200
            answer = gateway.predict(picture(COLOURS[0])).json()
            product = gateway.classify({str(n): picture(c) for n, c in enumerate(COLOURS)}).json()
            bad = gateway.classify({'good': picture(COLOURS[0]), 'bad': b'no picture'})
            requests = len(network.requests)
        finally:
            gateway.kill()
    label = int(of_colours(COLOURS[:1])[0].argmax())
    assert (answer['category_index'], answer['category_id']) == (label, 100 + label)
    assert answer['category_level3'] == f'LEAF {label}'
    assert product['model'] == {'name': MODEL, 'version': '7'}
    assert (bad.status_code, bad.json()['photo']) == (422, 'bad')
    assert requests == 2  # the bad picture was not sent


def test_a_server_that_is_down_is_reported(folder: Path, tmp_path: Path) -> None:
    gateway = start_gateway(
        f'127.0.0.1:{find_free_port()}', tmp_path / 'log', f'--network={folder}'
    )
    try:
        assert gateway.get('/readyz').status_code == 503
        assert gateway.predict(picture(COLOURS[0])).status_code == 503
    finally:
        gateway.kill()
