"""The page before a real gateway, as Streamlit runs it, without a browser."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from streamlit.testing.v1 import AppTest

from serving.web import plain_text
from tests.ports import find_free_port
from tests.serving.colours import BLUE, GREEN, RED, jpeg
from tests.serving.gateway.running import RunningGateway, start_gateway
from tests.serving.running import RunningServer

OpenPage = Callable[..., AppTest]


def upload(page: AppTest, **photos: bytes) -> AppTest:
    for name, data in photos.items():
        page.file_uploader[0].upload(f'{name}.jpg', data, 'image/jpeg')
    page.run()
    assert not page.exception
    return page


def plain(text: str) -> str:
    """Markdown with escaped punctuation, as it is shown."""
    return re.sub(r'\\(.)', r'\1', text)


def shown_path(page: AppTest) -> str:
    return plain(page.subheader[0].value)


def expected_path(gateway: RunningGateway, *photos: bytes) -> list[str]:
    named = {f'{number}.jpg': photo for number, photo in enumerate(photos)}
    return gateway.classify(named).json()['categories'][0]['path']


def test_a_visitor_without_a_photo_is_told_what_to_do(
    open_page: OpenPage, gateway: RunningGateway
) -> None:
    page = open_page(gateway.address)
    assert not page.exception
    assert 'Add one or more photos' in page.info[0].value


def test_several_photos_are_one_product_with_one_bar_for_each_category(
    open_page: OpenPage, gateway: RunningGateway
) -> None:
    page = upload(open_page(gateway.address), front=jpeg(RED), back=jpeg(BLUE))
    answer = gateway.classify({'front.jpg': jpeg(RED), 'back.jpg': jpeg(BLUE)}).json()
    bars = [bar.proto for bar in page.get('progress')]
    assert [plain(bar.text) for bar in bars] == [
        f'**{category["confidence"]:.1%}** :gray[{" › ".join(category["path"][:-1])} ›] '
        f'{category["path"][-1]}'
        for category in answer['categories']
    ]
    assert [bar.value for bar in bars] == [
        int(category['confidence'] * 100) for category in answer['categories']
    ]


def test_similar_products_come_with_their_photos_the_most_similar_first(
    open_page: OpenPage, gateway: RunningGateway
) -> None:
    page = upload(open_page(gateway.address), photo=jpeg(BLUE))
    captions = [plain(caption.value) for caption in page.caption]
    assert captions[1] == '**100%** BAGS  \nproduct 4712'
    assert captions[2].endswith('%** RED BOOTS  \nproduct 4711')
    photos = [url for image in page.image for url in image.value]
    assert len(set(photos)) == 3  # the uploaded one, and those of both products


def test_each_photo_gets_the_category_that_the_gateway_gives(
    open_page: OpenPage, gateway: RunningGateway
) -> None:
    page = upload(open_page(gateway.address), front=jpeg(RED))
    assert shown_path(page) == ' › '.join(expected_path(gateway, jpeg(RED)))
    assert 'Model colours, version 3.' in plain(page.caption[0].value)
    page.file_uploader[0].clear()
    upload(page, front=jpeg(GREEN))
    assert shown_path(page) == ' › '.join(expected_path(gateway, jpeg(GREEN)))


def test_the_camera_is_shown_on_demand_and_its_photo_counts(
    open_page: OpenPage, gateway: RunningGateway
) -> None:
    page = open_page(gateway.address)
    assert not page.camera_input  # it would ask for the permission of the browser
    page.toggle[0].set_value(True).run()
    page.camera_input[0].upload('camera.jpg', jpeg(GREEN), 'image/jpeg').run()
    assert not page.exception
    assert shown_path(page) == ' › '.join(expected_path(gateway, jpeg(GREEN)))


def test_a_file_that_is_not_a_picture_is_named(
    open_page: OpenPage, gateway: RunningGateway
) -> None:
    page = upload(open_page(gateway.address), invoice=b'%PDF-1.7 no picture')
    assert plain(page.error[0].value) == (
        'invoice.jpg is not a picture; send JPEG, PNG, WebP or GIF.'
    )
    assert not page.button  # the same photos would fail again


def test_a_photo_that_is_too_large_is_named(open_page: OpenPage, gateway: RunningGateway) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, 'PNG')
    page = upload(open_page(gateway.address), huge=file.getvalue())
    assert plain(page.error[0].value) == 'huge.jpg is larger than 1 MB; send a smaller one.'


def test_too_many_photos_are_told(open_page: OpenPage, gateway: RunningGateway) -> None:
    page = upload(open_page(gateway.address), a=jpeg(RED), b=jpeg(RED), c=jpeg(RED), d=jpeg(RED))
    assert plain(page.error[0].value) == 'A request can have 3 photos, got 4; use fewer.'


def test_without_a_gateway_the_page_says_so_and_tries_again(
    open_page: OpenPage, server: RunningServer, tmp_path: Path
) -> None:
    port = find_free_port()
    page = upload(open_page(f'http://127.0.0.1:{port}'), photo=jpeg(RED))
    assert plain(page.error[0].value) == (
        f'The gateway at http://127.0.0.1:{port} cannot be reached. '
        'Start it, or wait until it runs again, and then try again.'
    )
    running = start_gateway(server.grpc, tmp_path / 'log', f'--port={port}')
    try:
        page.button[0].click().run()
        assert shown_path(page) == ' › '.join(expected_path(running, jpeg(RED)))
    finally:
        running.kill()


def test_a_server_that_is_no_gateway_is_recognized(
    open_page: OpenPage, server: RunningServer
) -> None:
    page = upload(open_page(f'http://{server.rest}'), photo=jpeg(RED))
    assert 'is not a gateway: it answered with status 400.' in plain(page.error[0].value)


def test_a_gateway_with_keys_gets_the_key(
    open_page: OpenPage, server: RunningServer, tmp_path: Path
) -> None:
    (tmp_path / 'keys').write_text('page correct-horse-battery-staple\n')
    (tmp_path / 'key').write_text('correct-horse-battery-staple\n')
    running = start_gateway(server.grpc, tmp_path / 'log', f'--api_keys={tmp_path / "keys"}')
    try:
        page = upload(open_page(running.address), photo=jpeg(RED))
        assert 'key' in page.error[0].value
        page = upload(open_page(running.address, str(tmp_path / 'key')), photo=jpeg(RED))
        assert page.subheader
    finally:
        running.kill()


def test_text_from_outside_is_no_markup() -> None:
    assert plain_text.markdown('a*b* :red[c] $x$ <b>\n#d') == (r'a\*b\* \:red\[c\] \$x\$ \<b\> \#d')
