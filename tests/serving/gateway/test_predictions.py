"""What the paths of the gateway answer, before the real server."""

import io
from typing import Any

import pytest
from PIL import Image

from tests import pictures
from tests.serving.colours import BLUE, CATEGORY_IDS, GREEN, LEVEL1, LEVEL2, LEVEL3, RED, b64, jpeg
from tests.serving.gateway.running import RunningGateway
from tests.serving.running import PREDICT, RunningServer

THESIS_FIELDS = [
    'category_index',
    'confidence',
    'category_id',
    'category_level1',
    'category_level2',
    'category_level3',
    'response_time',
    'model_inference_time',
]


def rest_outputs(models: RunningServer, photos: list[bytes], **product: Any) -> dict[str, Any]:
    """What the server itself answers over REST."""
    signature = 'product' if product else 'serving_default'
    inputs = {'image_bytes': [b64(photo) for photo in photos], **product}
    status, body = models.http('POST', PREDICT, {'signature_name': signature, 'inputs': inputs})
    assert status == 200
    return body['outputs']


@pytest.mark.parametrize('colour', [RED, GREEN, BLUE])
def test_predict_gives_the_fields_of_the_thesis_with_the_values_of_the_model(
    gateway: RunningGateway, models: RunningServer, colour: tuple[int, int, int]
) -> None:
    photo = jpeg(colour)
    response = gateway.predict(photo)

    expected = rest_outputs(models, [photo])
    label = expected['label'][0][0]
    answer = response.json()
    assert response.status_code == 200
    assert list(answer) == THESIS_FIELDS
    assert answer['category_index'] == label
    assert answer['confidence'] == pytest.approx(expected['confidence'][0][0], rel=1e-6)
    assert answer['category_id'] == CATEGORY_IDS[label]
    assert [answer[f'category_level{level}'] for level in (1, 2, 3)] == [
        LEVEL1[label],
        LEVEL2[label],
        LEVEL3[label],
    ]
    assert 0 < answer['model_inference_time'] < answer['response_time']


def test_a_product_is_classified_from_all_its_photos(
    gateway: RunningGateway, models: RunningServer
) -> None:
    photos = {'red.jpg': jpeg(RED), 'blue.jpg': jpeg(BLUE)}
    answer = gateway.classify(photos, params={'top_k': 2}).json()

    expected = rest_outputs(models, list(photos.values()), product=[0, 0])
    labels = expected['label'][0][:2]
    assert [category['category_index'] for category in answer['categories']] == labels
    assert [category['category_id'] for category in answer['categories']] == [
        CATEGORY_IDS[label] for label in labels
    ]
    assert [category['confidence'] for category in answer['categories']] == pytest.approx(
        expected['confidence'][0][:2], rel=1e-6
    )
    assert answer['categories'][0]['path'] == [
        LEVEL1[labels[0]],
        LEVEL2[labels[0]],
        LEVEL3[labels[0]],
    ]
    assert answer['photos'] == 2
    assert answer['model'] == {'name': 'colours', 'version': '3'}


def test_the_answer_has_the_path_down_to_the_level_that_the_model_is_sure_of(
    gateway: RunningGateway, models: RunningServer
) -> None:
    found = {}
    for photos in ([jpeg(RED)], [jpeg(RED), jpeg(BLUE)]):
        answer = gateway.classify({str(n): photo for n, photo in enumerate(photos)}).json()
        level = rest_outputs(models, photos, product=[0] * len(photos))['level'][0]
        assert answer['sure']['level'] == level
        assert answer['sure']['path'] == answer['categories'][0]['path'][:level]
        found[level] = len(answer['sure']['path'])
    assert found == {3: 3, 0: 0}


def save(image: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


@pytest.mark.parametrize('form', ['TIFF', 'BMP', 'AVIF', 'PPM', 'WEBP', 'GIF', 'PNG'])
def test_a_photo_in_any_format_has_the_answer_of_its_pixels(
    gateway: RunningGateway, form: str
) -> None:
    image = Image.new('RGB', (20, 10), RED)
    lossless = gateway.predict(save(image, 'PNG')).json()
    answer = gateway.predict(save(image, form)).json()
    tolerance = 0.02 if form in ('AVIF', 'WEBP') else 1e-6  # these are lossy
    assert answer['category_index'] == lossless['category_index']
    assert answer['confidence'] == pytest.approx(lossless['confidence'], abs=tolerance)


TRUNCATED = jpeg(RED)[:-20]
BAD = {
    'not_a_picture': b'not a picture at all',
    'empty': b'',
    'corrupt': TRUNCATED,
    'too_large': pictures.save(Image.new('1', (20_000, 3000)), 'PNG'),
}


@pytest.mark.parametrize('reason', BAD)
def test_a_bad_photo_is_an_error_with_its_name(gateway: RunningGateway, reason: str) -> None:
    photos = {'good.jpg': jpeg(BLUE), 'bad one.jpg': BAD[reason], 'other.jpg': jpeg(RED)}
    response = gateway.classify(photos)
    body = response.json()
    assert response.status_code == 422
    assert body['photo'] == 'bad one.jpg'
    assert body['reason'] == reason
    assert body['error'].startswith('bad one.jpg ')
    assert '\n' not in body['error']
    assert gateway.predict(BAD[reason], name='alone').json()['photo'] == 'alone'


@pytest.mark.parametrize(
    ('method', 'path', 'options', 'status', 'sentence'),
    [
        ('GET', '/nothing', {}, 404, 'There is nothing at /nothing; /docs lists the paths.'),
        ('GET', '/predict', {}, 405, '/predict does not take GET; /docs lists the paths.'),
        ('POST', '/predict', {}, 422, "Send the photos as files in the field 'file'"),
        ('POST', '/predict', {'data': {'file': 'text'}}, 422, "in the field 'file'"),
        ('POST', '/predict', {'json': {'file': 'text'}}, 422, "in the field 'file'"),
        (
            'POST',
            '/predict',
            {'files': [('file', ('a', jpeg(RED))), ('files', ('b', b'text'))]},
            422,
            'Send one photo, got 2; /v1/products:classify takes several',
        ),
        (
            'POST',
            '/predict',
            {'content': b'--x', 'headers': {'content-type': 'multipart/form-data'}},
            400,
            'The request cannot be read: ',
        ),
        (
            'POST',
            '/v1/products:classify?top_k=0',
            {'files': {'files': ('a', jpeg(RED))}},
            422,
            "The parameter 'top_k' is wrong",
        ),
    ],
)
def test_a_wrong_request_is_an_error_of_one_sentence(
    gateway: RunningGateway, method: str, path: str, options: Any, status: int, sentence: str
) -> None:
    with gateway.client() as client:
        response = client.request(method, path, **options)
    assert response.status_code == status
    assert sentence in response.json()['error']
    assert 'Traceback' not in response.text


def test_metrics_count_requests_answers_and_errors(gateway: RunningGateway) -> None:
    names = [
        'gateway_request_seconds_count{path="/predict",status="200"}',
        'gateway_request_seconds_count{path="other",status="404"}',
        'gateway_inference_seconds_count{signature="product"}',
        'gateway_confidence_count{signature="serving_default"}',
        'gateway_answers_total{level="3"}',
        'gateway_errors_total{reason="not_a_picture"}',
    ]
    before = [gateway.metric(name) for name in names]
    assert gateway.predict(jpeg(RED)).status_code == 200
    assert gateway.predict(b'text').status_code == 422
    assert gateway.classify({'a': jpeg(RED)}).json()['sure']['level'] == 3
    assert gateway.get('/some/path').status_code == 404
    after = [gateway.metric(name) for name in names]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1] * 6


def test_a_request_has_one_line_in_the_log_without_its_photo(gateway: RunningGateway) -> None:
    photo = jpeg(GREEN)
    headers = {'X-Request-ID': 'order-17.a'}
    response = gateway.predict(photo, name='name\n.jpg', headers=headers)
    refused = gateway.predict(b'text', headers={'X-Request-ID': 'bad id {}'})

    assert response.headers['X-Request-ID'] == 'order-17.a'
    line = gateway.logged('order-17.a')
    assert line['status'] == 200
    assert line['path'] == '/predict'
    assert line['seconds'] > 0
    assert gateway.logged(refused.headers['X-Request-ID'])['reason'] == 'not_a_picture'
    assert photo[:10].decode('latin-1') not in gateway.log_file.read_text()


def test_the_openapi_document_has_examples_and_all_errors(gateway: RunningGateway) -> None:
    document = gateway.get('/openapi.json').json()
    assert document['openapi'].startswith('3.')
    example = document['components']['schemas']['PhotoPrediction']['examples'][0]
    assert set(example) == set(THESIS_FIELDS)
    responses = document['paths']['/v1/products:classify']['post']['responses']
    assert {'200', '400', '401', '413', '422', '429', '503', '504'} <= set(responses)
    assert gateway.get('/docs').status_code == 200
