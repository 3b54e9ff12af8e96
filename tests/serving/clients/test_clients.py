"""The clients and the real server: every signature, both transports, sync and async."""

import asyncio
import dataclasses
import inspect
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catalog.errors import UserError
from serving.clients import AsyncClient, Client, Code, Prediction, ServingError
from tests.serving.colours import BLUE, CATEGORY_IDS, GREEN, RED, jpeg
from tests.serving.running import RunningServer

PICTURES = [jpeg(RED), jpeg(BLUE), jpeg(GREEN)]
SECONDS = 60.0


class Blocking:
    """Has the methods of AsyncClient, and waits for their results."""

    def __init__(self, client: AsyncClient, runner: asyncio.Runner) -> None:
        self._client, self._runner = client, runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *args, **kwargs: self._runner.run(method(*args, **kwargs))


@pytest.fixture(params=['rest', 'grpc'])
def transport(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=['sync', 'async'])
def client(request: pytest.FixtureRequest, server: RunningServer, transport: Any) -> Iterator[Any]:
    arguments = {'transport': transport, 'model': 'colours', 'deadline_seconds': SECONDS}
    address = server.rest if transport == 'rest' else server.grpc
    if request.param == 'sync':
        with Client(address, **arguments) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        client = Blocking(AsyncClient(address, **arguments), runner)
        yield client
        client.close()


def rows(outputs: Any) -> list[list[tuple[Any, ...]]]:
    """The expected categories: id, confidence and names of each rank of each row."""
    columns = [outputs[name].numpy() for name in ('category_id', 'confidence')]
    names = [outputs[f'level{level}'].numpy() for level in (1, 2, 3)]
    return [
        [
            (
                *(column[row, rank].item() for column in columns),
                tuple(column[row, rank].decode() for column in names),
            )
            for rank in range(3)
        ]
        for row in range(len(columns[0]))
    ]


def found(predictions: Sequence[Prediction]) -> list[list[tuple[Any, ...]]]:
    return [
        [(c.category_id, c.confidence, c.levels) for c in prediction.categories]
        for prediction in predictions
    ]


def test_pictures_are_classified(client: Any, module: Any) -> None:
    predictions = client.classify(PICTURES)
    assert found(predictions) == rows(module.serving_default(np.array(PICTURES, object)))
    assert {p.level for p in predictions} == {None}
    assert {c.code for p in predictions for c in p.categories} == {None}


def test_products_are_classified(client: Any, module: Any) -> None:
    predictions = client.classify_products([PICTURES[:1], PICTURES[1:]])
    outputs = module.product(np.array(PICTURES, object), np.array([0, 1, 1], np.int64))
    assert found(predictions) == rows(outputs)
    assert [p.level for p in predictions] == outputs['level'].numpy().tolist()


def test_pixels_are_classified_and_embedded(client: Any, module: Any) -> None:
    images = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in PICTURES])
    outputs = module.pixels(images)
    assert found(client.classify_pixels(images)) == rows(outputs)
    embeddings = client.embed_pixels(images)
    assert embeddings.dtype == np.float32
    np.testing.assert_array_equal(embeddings, outputs['embedding'].numpy())


def test_pictures_are_embedded(client: Any, module: Any) -> None:
    embeddings = client.embed(PICTURES)
    assert embeddings.dtype == np.float32
    expected = module.embedding(np.array(PICTURES, object))['embedding'].numpy()
    np.testing.assert_array_equal(embeddings, expected)


def test_any_signature_can_be_called(client: Any) -> None:
    outputs = client.predict(
        'echo',
        {
            'decimals': np.array([[1.5, -0.1]], np.float32),
            'integers': np.array([7, -7], np.int32),
            'flag': [True],
            'text': ['é\0', b'\xff\0'[1:].decode()],
        },
    )
    assert outputs['decimals'].astype(np.float32).tolist() == [[1.5, np.float32(-0.1)]]
    assert outputs['integers'].tolist() == [7, -7]
    assert outputs['flag'].tolist() == [True]
    assert outputs['text'].tolist() == ['é\0', '\0']
    assert outputs['raw_bytes'].tolist() == ['é\0'.encode(), b'\0']


def test_status_and_metadata_are_those_of_the_model(client: Any) -> None:
    (version,) = client.status()
    assert (version.version, version.state, version.is_available) == (3, 'AVAILABLE', True)
    metadata = client.metadata()
    assert metadata.version == 3
    assert set(metadata.signatures) >= {'serving_default', 'product', 'embedding', 'echo'}
    product = metadata.signatures['product']
    assert {name: (s.dtype, s.shape) for name, s in product.inputs.items()} == {
        'image_bytes': ('string', (None,)),
        'product': ('int64', (None,)),
    }
    assert (product.outputs['confidence'].dtype, len(product.outputs['level1'].shape)) == (
        'float32',
        2,
    )
    client.wait_until_ready(SECONDS)


def test_the_servers_words_and_code_are_kept(client: Any, transport: str) -> None:
    with pytest.raises(ServingError) as caught:
        client.classify([b'no picture'])
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert 'Unknown image file format' in caught.value.message
    assert caught.value.http_status == (400 if transport == 'rest' else None)
    with pytest.raises(ServingError) as caught:
        client.predict('echo', {'nothing': [1]})
    assert caught.value.code is Code.INVALID_ARGUMENT
    with pytest.raises(ServingError) as caught:
        client.classify(PICTURES, deadline_seconds=0)
    assert caught.value.code is Code.DEADLINE_EXCEEDED


def test_a_client_asks_for_a_version(server: RunningServer, transport: Any) -> None:
    address = server.rest if transport == 'rest' else server.grpc
    options: dict[str, Any] = {'transport': transport, 'deadline_seconds': SECONDS}
    with Client(address, model='colours', version=3, **options) as client:
        assert client.classify(PICTURES[:1])[0].categories[0].category_id in CATEGORY_IDS
    for wrong in ({'version': 9}, {'label': 'stable'}):
        with (
            Client(address, model='colours', **wrong, **options) as client,
            pytest.raises(ServingError) as caught,
        ):
            client.classify(PICTURES)
        assert caught.value.code in (Code.NOT_FOUND, Code.INVALID_ARGUMENT)
    with (
        Client(address, model='other', **options) as client,
        pytest.raises(ServingError, match=r'the model must be ready within 0 s: .*other') as caught,
    ):
        client.wait_until_ready(0)
    assert caught.value.code is Code.DEADLINE_EXCEEDED


def test_requests_of_an_async_client_run_together(server: RunningServer) -> None:
    async def ask() -> list[list[Prediction]]:
        async with AsyncClient(server.grpc, model='colours', deadline_seconds=SECONDS) as client:
            return await asyncio.gather(*(client.classify([data]) for data in PICTURES))

    with Client(server.rest, transport='rest', model='colours') as client:
        together = client.classify(PICTURES, deadline_seconds=SECONDS)
    for (alone,), one in zip(asyncio.run(ask()), together, strict=True):
        for category, other in zip(alone.categories, one.categories, strict=True):
            # Some processors round a batch of one differently.
            assert category.confidence == pytest.approx(other.confidence, rel=1e-6)
            assert dataclasses.replace(category, confidence=other.confidence) == other


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, Any]:
        return {
            name: inspect.signature(method).parameters
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith('_')
        }

    assert {n: list(p) for n, p in methods(Client).items()} == {
        n: list(p) for n, p in methods(AsyncClient).items()
    }


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'server': 'nowhere'}, "server must be HOST:PORT, got 'nowhere'"),
        ({'server': 'http://localhost:8501'}, 'server must be HOST:PORT, got '),
        ({'model': ''}, 'model must be set'),
        ({'version': 1, 'label': 'stable'}, "version or label must be set, got 1 and 'stable'"),
        ({'transport': 'soap'}, "transport must be grpc or rest, got 'soap'"),
    ],
)
def test_an_invalid_argument_is_a_value_error(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Client(**{'server': 'localhost:8500', **arguments})
    assert isinstance(caught.value, (UserError, ValueError))


def test_only_bytes_are_pictures() -> None:
    with Client('localhost:1') as client:
        for pictures in ([], 'a.jpg', b'\xff\xd8'):
            with pytest.raises(ValueError, match='pictures must be a sequence of one picture'):
                client.classify(pictures)
        with pytest.raises(ValueError, match='not its name, base64 or a URL, got str'):
            client.classify(['data:image/jpeg;base64,/9j/'])
        for products in ([[]], [b'\xff\xd8']):
            with pytest.raises(ValueError, match='products must be sequences of one picture or'):
                client.classify_products(products)
        with pytest.raises(ValueError, match=r'images must be uint8 \[N, H, W, 3\], got float64'):
            client.classify_pixels(np.zeros((1, 2, 2, 3)))
