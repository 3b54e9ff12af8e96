"""Limits, keys, TLS and origins of a gateway, and the flags that set them."""

import hashlib
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests import pictures
from tests.serving.certificates import make_authority
from tests.serving.colours import BLUE, RED, jpeg
from tests.serving.gateway.running import RunningGateway, run_gateway, start_gateway
from tests.serving.running import RunningServer

KEY = 'k3y-of-the-shop-0001'
HASHED_KEY = 'k3y-of-the-page-0002'
AUTHORIZED = {'X-API-Key': KEY}
ORIGIN = 'https://shop.example'


@pytest.fixture(scope='module')
def strict(
    models: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """A gateway with TLS, keys, one origin and low limits."""
    folder = tmp_path_factory.mktemp('strict')
    authority = make_authority()
    (folder / 'cert.pem').write_text(authority.server.certificate)
    (folder / 'key.pem').write_text(authority.server.key)
    digest = hashlib.sha256(HASHED_KEY.encode()).hexdigest()
    (folder / 'keys').write_text(f'# owners\nshop {KEY}\n\npage sha256:{digest}\n')
    running = start_gateway(
        models.grpc,
        folder / 'log',
        f'--tls_cert={folder / "cert.pem"}',
        f'--tls_key={folder / "key.pem"}',
        f'--api_keys={folder / "keys"}',
        f'--cors_origins={ORIGIN}',
        '--max_photos=2',
        '--max_photo_mb=0.01',
        '--max_megapixels=0.01',
        verify=ssl.create_default_context(cadata=authority.certificate),
    )
    yield running
    running.kill()


@pytest.mark.parametrize(
    'headers',
    [AUTHORIZED, {'X-API-Key': HASHED_KEY}, {'Authorization': f'Bearer {HASHED_KEY}'}],
)
def test_a_known_key_is_admitted_over_tls(strict: RunningGateway, headers: dict[str, str]) -> None:
    response = strict.predict(jpeg(RED), headers=headers)
    assert response.status_code == 200
    owner = 'shop' if headers == AUTHORIZED else 'page'
    assert strict.logged(response.headers['X-Request-ID'])['key'] == owner


@pytest.mark.parametrize(
    'headers',
    [
        {},
        {'X-API-Key': KEY[:-1]},
        {'X-API-Key': KEY.upper()},
        {'Authorization': f'Basic {KEY}'},
        {'X-API-Key': hashlib.sha256(HASHED_KEY.encode()).hexdigest()},
    ],
)
def test_without_a_known_key_everything_but_probes_and_docs_is_refused(
    strict: RunningGateway, headers: dict[str, str]
) -> None:
    refused = strict.predict(jpeg(RED), headers=headers)
    assert refused.status_code == 401
    assert refused.headers['WWW-Authenticate'] == 'Bearer'
    assert 'API key' in refused.json()['error']
    assert strict.get('/metrics', headers=headers).status_code == 401
    for path in ('/healthz', '/readyz', '/docs', '/openapi.json'):
        assert strict.get(path, headers=headers).status_code == 200
    assert KEY not in strict.log_file.read_text()


def test_only_listed_origins_may_send_requests(
    strict: RunningGateway, gateway: RunningGateway
) -> None:
    allowed = strict.predict(jpeg(RED), headers={**AUTHORIZED, 'Origin': ORIGIN})
    assert allowed.headers['Access-Control-Allow-Origin'] == ORIGIN
    foreign = strict.predict(jpeg(RED), headers={**AUTHORIZED, 'Origin': 'https://other.example'})
    assert 'Access-Control-Allow-Origin' not in foreign.headers
    by_default = gateway.predict(jpeg(RED), headers={'Origin': ORIGIN})
    assert 'Access-Control-Allow-Origin' not in by_default.headers


def padded(size: int) -> bytes:
    """A photo of a number of bytes."""
    photo = jpeg(RED)
    return photo + bytes(size - len(photo))


def test_limits_refuse_by_name(strict: RunningGateway) -> None:
    limit = int(0.01 * (1 << 20))
    assert strict.predict(padded(limit), headers=AUTHORIZED).status_code == 200

    large = strict.predict(padded(limit + 1), 'large.jpg', headers=AUTHORIZED)
    assert (large.status_code, large.json()['photo']) == (413, 'large.jpg')
    assert 'larger than 0.01 MB' in large.json()['error']

    many = strict.classify({name: jpeg(RED) for name in 'abc'}, headers=AUTHORIZED)
    assert many.status_code == 413
    assert '2 photos, got 3' in many.json()['error']

    wide = pictures.save(Image.new('L', (101, 100)), 'PNG')
    pixels = strict.predict(wide, 'wide.png', headers=AUTHORIZED)
    assert (pixels.status_code, pixels.json()['photo']) == (422, 'wide.png')
    assert '101x100' in pixels.json()['error']


def test_a_body_over_the_limit_is_refused_whether_its_size_is_declared_or_not(
    strict: RunningGateway,
) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield bytes(1 << 14)

    for content in (bytes(20 << 14), chunks()):
        with strict.client() as client:
            response = client.post('/predict', content=content, headers=AUTHORIZED)
        assert response.status_code == 413
        assert response.json()['reason'] == 'request_too_large'
    assert strict.predict(jpeg(BLUE), headers=AUTHORIZED).status_code == 200


def test_the_page_of_the_paths_loads_its_files_from_the_gateway_without_a_key(
    strict: RunningGateway,
) -> None:
    html = strict.get('/docs').text
    files = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert len(files) == 3  # style, script, icon
    for file in files:
        assert file.startswith('/docs/files/')
        assert strict.get(file).status_code == 200
    assert 'https://' not in html
    assert strict.get('/docs/files/../../metrics').status_code == 401
    assert strict.get('/docs/files/%2e%2e/%2e%2e/app.py').status_code in (401, 404)


def test_plain_http_to_the_tls_port_is_refused(strict: RunningGateway) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(strict.address.replace('https', 'http'), timeout=60)


@pytest.mark.parametrize(
    ('flag', 'message'),
    [
        ('--target=nowhere', "--target must be HOST:PORT, got 'nowhere'"),
        ('--tls_cert={keys}', '--tls_cert and --tls_key must be given together, got one of them'),
        ('--api_keys={keys}', 'line 2: must be a name and a key of at least 16 characters'),
    ],
)
def test_a_wrong_flag_is_an_error_of_one_line(tmp_path: Path, flag: str, message: str) -> None:
    keys = tmp_path / 'keys'
    keys.write_text(f'shop {KEY}\nshort 1234\n')
    done = run_gateway('--target=127.0.0.1:1', '--port=0', flag.format(keys=keys))
    assert done.returncode == 2
    assert done.stderr.startswith('error: ')
    assert done.stderr.count('\n') == 1
    assert message in done.stderr
    assert '1234' not in done.stderr
