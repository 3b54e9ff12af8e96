"""Similar products over HTTP: a real index, made of real embeddings of the served model."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.index import building
from tests.serving.colours import BLUE, GREEN, RED, jpeg
from tests.serving.gateway.running import RunningGateway, start_gateway
from tests.serving.products import Product, write_data_set
from tests.serving.running import RunningServer
from tests.serving.slow_requests import wait_for

PRODUCTS = [
    Product(7, [RED], label=0),
    Product(3, [GREEN], label=1),
    Product(900_000_000_000, [BLUE], label=2, key='sac/n°5'.encode()),
]


@pytest.fixture
def index(models_folder: Path, tmp_path: Path) -> Path:
    publish(PRODUCTS, models_folder / 'colours' / '3', tmp_path)
    return tmp_path / 'similar'


def publish(products: list[Product], model: Path, folder: Path) -> None:
    data = folder / f'data-{len(products)}'
    building.build(
        model=str(model),
        data=write_data_set(data, products),
        output=str(folder / 'similar'),
        thumbnail_pixels=160,
    )


def test_a_photo_finds_the_products_with_similar_photos_and_their_thumbnails(
    index: Path, models: RunningServer, models_folder: Path, tmp_path: Path
) -> None:
    gateway = start_gateway(models.grpc, tmp_path / 'log', f'--index={index}')
    try:
        with gateway.client() as client:
            answer = client.post('/v1/similar?k=2', files={'files': ('a', jpeg(BLUE))}).json()
            best, second = answer['products']
            assert best['product_id'] == 'sac/n°5'
            assert best['similarity'] == pytest.approx(1, abs=1e-3)
            assert best['similarity'] > second['similarity']
            assert len(best['path']) == 3
            assert answer['index'] == {'version': 1, 'products': 3}
            thumbnail = client.get(best['thumbnail'])
            assert thumbnail.headers['Content-Type'] == 'image/jpeg'
            shown = np.asarray(Image.open(io.BytesIO(thumbnail.content)))
            np.testing.assert_allclose(shown.mean(axis=(0, 1)), BLUE, atol=8)

            both = [('files', (name, jpeg(colour))) for name, colour in (('r', RED), ('g', GREEN))]
            answer = client.post('/v1/similar?k=3', files=both).json()
            assert {product['product_id'] for product in answer['products'][:2]} == {7, 3}

            bad = client.post('/v1/similar', files={'files': ('bad', b'no picture')})
            assert (bad.status_code, bad.json()['photo']) == (422, 'bad')
            assert client.get('/v1/similar/12345/thumbnail').status_code == 404

            publish(
                [*PRODUCTS, Product(8, [BLUE], label=0)], models_folder / 'colours' / '3', tmp_path
            )
            wait_for(lambda: found(gateway) == {'version': 2, 'products': 4})
    finally:
        gateway.terminate()
    assert gateway.process.wait(60) == 0


def found(gateway: RunningGateway) -> dict[str, int]:
    with gateway.client() as client:
        return client.post('/v1/similar', files={'files': ('a', jpeg(BLUE))}).json()['index']


def test_an_index_of_another_version_of_the_model_is_not_searched(
    models_folder: Path, models: RunningServer, tmp_path: Path
) -> None:
    other = tmp_path / 'colours' / '4'
    other.parent.mkdir()
    other.symlink_to(models_folder / 'colours' / '3')
    publish(PRODUCTS, other, tmp_path)
    gateway = start_gateway(models.grpc, tmp_path / 'log', f'--index={tmp_path / "similar"}')
    try:
        with gateway.client() as client:
            response = client.post('/v1/similar', files={'files': ('a', jpeg(BLUE))})
        assert (response.status_code, response.json()['reason']) == (503, 'other_index')
        assert gateway.predict(jpeg(BLUE)).status_code == 200
    finally:
        gateway.kill()


def test_without_an_index_the_path_says_so(gateway: RunningGateway) -> None:
    with gateway.client() as client:
        response = client.post('/v1/similar', files={'files': ('a', jpeg(BLUE))})
    assert (response.status_code, response.json()['reason']) == (404, 'no_index')
