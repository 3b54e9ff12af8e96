"""The page: photos of one product in, its category or an error out."""

import hashlib
from collections.abc import Sequence
from typing import Any

import streamlit as st
from PIL import Image

from catalog import pixels
from serving.web import answers, similar
from serving.web.gateway import Gateway, GatewayError, Photo
from serving.web.plain_text import markdown
from serving.web.similar import SimilarProduct

PHOTO_TYPES = ['jpg', 'jpeg', 'png', 'webp', 'gif', 'bmp', 'tif', 'tiff', 'avif']
PREVIEW_PIXELS = 96


def show(gateway: Gateway) -> None:
    """Shows the page."""
    st.set_page_config(page_title='Product categories', page_icon='🏷️', layout='centered')
    st.header('Which category is this product?')
    photos = _ask_for_photos()
    if not photos:
        st.info('Add one or more photos of one product: from files, or with the camera.')
        return
    try:
        with st.spinner('Looking at the photos …'):
            answer = _once('answer', photos, gateway.classify)
    except GatewayError as error:
        _show_error(error)
        return
    _show_previews(photos)
    answers.show(answer)
    _show_similar(gateway, photos)


def _show_similar(gateway: Gateway, photos: Sequence[Photo]) -> None:
    def find(photos: Sequence[Photo]) -> list[SimilarProduct]:
        answer = gateway.similar(photos)
        return similar.products(answer, gateway.thumbnail) if answer else []

    try:
        with st.spinner('Looking for similar products …'):
            found = _once('similar', photos, find)
    except GatewayError as error:
        _show_error(error)
        return
    if found:
        similar.show(found)


def _ask_for_photos() -> list[Photo]:
    files = st.file_uploader('Photos of one product', PHOTO_TYPES, accept_multiple_files=True)
    # Only a shown camera asks the browser for its permission.
    taken = st.camera_input('Take a photo') if st.toggle('Use the camera') else None
    return [Photo(file.name, file.getvalue()) for file in [*files, *([taken] if taken else [])]]


def _once(name: str, photos: Sequence[Photo], call: Any) -> Any:
    """Calls the gateway once for the same photos; Streamlit runs the page at each change."""
    digest = hashlib.sha256()
    for photo in photos:
        digest.update(f'{len(photo.name)} {photo.name} {len(photo.data)} '.encode())
        digest.update(photo.data)
    known, answer = st.session_state.get(name, (None, None))
    if known != digest.digest():
        answer = call(photos)
        st.session_state[name] = (digest.digest(), answer)
    return answer


def _show_error(error: GatewayError) -> None:
    st.error(markdown(str(error)))
    if error.transient:
        st.button('Try again')  # a click runs the page again


def _show_previews(photos: Sequence[Photo]) -> None:
    """Shows photos that the gateway has accepted."""
    with st.container(horizontal=True):
        for photo in photos:
            st.image(_preview(photo.data), width=PREVIEW_PIXELS)


def _preview(data: bytes) -> Image.Image:
    image = pixels.decode(data)  # as the gateway has done
    image.thumbnail((2 * PREVIEW_PIXELS, 2 * PREVIEW_PIXELS))
    return image
