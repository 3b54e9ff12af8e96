"""The page in real Chromium: a real upload, and a camera that shows a known photo.

Skipped where Chromium or playwright is missing; `test_page` has the same page without a browser.
"""

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from tests.ports import find_free_port
from tests.serving.colours import BLUE, GREEN, RED, jpeg
from tests.serving.gateway.running import RunningGateway
from tests.serving.running import ROOT

playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')

CHROMIUM = shutil.which('chromium')
TIMEOUT = 120_000  # milliseconds
PHONE, DESKTOP = {'width': 390, 'height': 844}, {'width': 1280, 'height': 900}

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason='Chromium is not installed (apt-get install chromium)'
)


@pytest.fixture(scope='module')
def address(gateway: RunningGateway) -> Iterator[str]:
    """The page in a process of its own."""
    port = find_free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, '-m', 'serving.web'),
            *(f'--gateway={gateway.address}', f'--port={port}'),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().startswith(f'ready: page http://127.0.0.1:{port}')
    yield f'http://127.0.0.1:{port}'
    process.terminate()
    assert process.wait(60) == 0


@pytest.fixture(scope='module')
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, whose camera shows a green picture."""
    camera = tmp_path_factory.mktemp('camera') / 'camera.mjpeg'
    file = io.BytesIO()
    Image.new('RGB', (640, 360), GREEN).save(file, 'JPEG')
    camera.write_bytes(2 * file.getvalue())
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                '--use-fake-device-for-media-stream',
                '--use-fake-ui-for-media-stream',
                f'--use-file-for-fake-video-capture={camera}',
            ],
        )
        yield browser
        browser.close()


@pytest.fixture(params=[PHONE, DESKTOP], ids=['phone', 'desktop'])
def page(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Any]:
    """The opened page."""
    page = browser.new_page(viewport=request.param)
    page.set_default_timeout(TIMEOUT)
    page.goto(address)
    yield page
    page.close()


def best(gateway: RunningGateway, photo: bytes) -> str:
    return ' › '.join(gateway.classify({'photo.jpg': photo}).json()['categories'][0]['path'])


def wait_for_heading(page: Any, text: str) -> None:
    playwright.expect(page.get_by_role('heading', level=3)).to_have_text(text, timeout=TIMEOUT)


def test_uploaded_photos_get_a_category_and_fit_the_screen(
    page: Any, gateway: RunningGateway
) -> None:
    file = {'name': 'front.jpg', 'mimeType': 'image/jpeg', 'buffer': jpeg(RED)}
    page.locator('input[type=file]').set_input_files([file])
    wait_for_heading(page, best(gateway, jpeg(RED)))
    playwright.expect(page.get_by_role('progressbar')).to_have_count(3, timeout=TIMEOUT)
    playwright.expect(page.get_by_text('Answered in')).to_be_visible(timeout=TIMEOUT)
    too_wide = 'document.documentElement.scrollWidth > document.documentElement.clientWidth'
    assert not page.evaluate(too_wide)


def test_the_camera_takes_the_picture_that_it_shows(page: Any, gateway: RunningGateway) -> None:
    page.get_by_text('Use the camera').click()
    page.wait_for_function('document.querySelector("video")?.currentTime > 0')  # shows a picture
    page.get_by_role('button', name='Take Photo').click()
    wait_for_heading(page, best(gateway, jpeg(GREEN)))
    assert best(gateway, jpeg(GREEN)) not in {best(gateway, jpeg(RED)), best(gateway, jpeg(BLUE))}


def test_a_file_that_is_not_a_picture_is_named(page: Any) -> None:
    file = {'name': 'invoice.jpg', 'mimeType': 'image/jpeg', 'buffer': b'%PDF-1.7 no picture'}
    page.locator('input[type=file]').set_input_files([file])
    alert = page.get_by_role('alert')
    playwright.expect(alert).to_have_text(
        'invoice.jpg is not a picture; send JPEG, PNG, WebP or GIF.', timeout=TIMEOUT
    )


def test_the_page_of_the_paths_works_without_the_internet(
    browser: Any, gateway: RunningGateway
) -> None:
    page = browser.new_page()
    others: list[str] = []

    def admit(route: Any) -> None:
        if route.request.url.startswith((gateway.address, 'data:')):
            route.continue_()
        else:
            others.append(route.request.url)
            route.abort()

    page.route('**/*', admit)
    page.goto(f'{gateway.address}/docs')
    for path in ('/predict', '/v1/products:classify', '/v1/similar'):
        name = page.get_by_text(path, exact=True).first
        name.click(timeout=TIMEOUT)
        page.get_by_role('button', name='Try it out').first.click(timeout=TIMEOUT)
        playwright.expect(page.locator('input[type=file]')).to_have_count(1, timeout=TIMEOUT)
        name.click()
    assert others == []
    page.close()
