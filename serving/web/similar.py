"""Similar products on the page, with their photos."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from serving.web.plain_text import markdown

PHOTO_PIXELS = 104  # three fit beside each other on a phone


@dataclass(frozen=True)
class SimilarProduct:
    """A similar product.

    Attributes:
      product_id: The shop's id, as text.
      category: Name of its category; empty in unlabelled data.
      similarity: Cosine of the embeddings; 1 is equal.
      photo: A small JPEG; None without one.
    """

    product_id: str
    category: str
    similarity: float
    photo: bytes | None


def products(
    answer: dict[str, Any], thumbnail: Callable[[str], bytes | None]
) -> list[SimilarProduct]:
    """Returns the products of an answer of `/v1/similar`, with the photo that `thumbnail` gets."""
    return [
        SimilarProduct(
            product_id=str(product['product_id']),
            category=product['path'][-1] if product['path'] else '',
            similarity=product['similarity'],
            photo=thumbnail(product['thumbnail']),
        )
        for product in answer['products']
    ]


def show(found: list[SimilarProduct]) -> None:
    """Shows products side by side, in as many rows as the width of the screen needs."""
    st.markdown('**Similar products**')
    with st.container(horizontal=True):
        for product in found:
            with st.container(width=PHOTO_PIXELS, gap='xsmall'):
                if product.photo:
                    st.image(product.photo, width=PHOTO_PIXELS)
                st.caption(
                    f'**{product.similarity:.0%}** {markdown(product.category)}  \n'
                    f'product {markdown(product.product_id)}'
                )
