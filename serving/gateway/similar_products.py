"""The paths that find products with similar photos."""

from typing import Annotated

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response

from serving.gateway import routing
from serving.gateway.responses import (
    Index,
    SimilarProduct,
    SimilarProducts,
    error_responses,
)
from serving.intake.errors import RequestFailure
from serving.similar.product_index import IndexedProduct, ProductIndex
from serving.similar.published_index import PublishedIndex

ROUTER = APIRouter(tags=['similar products'], dependencies=routing.KEY_SCHEMES)
_MAX_ID = 2**63 - 1


@ROUTER.post(
    '/v1/similar',
    summary='The products whose photos are most similar',
    responses={**routing.ERRORS, **error_responses(404)},
)
async def find_similar(
    request: Request,
    files: routing.Files,
    k: Annotated[int, Query(ge=1, le=100, description='Products; all if there are fewer.')] = 10,
) -> SimilarProducts:
    """Finds the products nearest to the mean of the photos' embeddings."""
    classifier = routing.classifier(request)
    index = _current(request)
    photos = await classifier.photos.read(files)
    embedded = await classifier.embed(photos, deadline=routing.deadline(request))
    _check_version(index, embedded.version)
    query = embedded.embeddings.mean(axis=0, keepdims=True)
    matches = await to_thread.run_sync(index.search, query, k)
    return SimilarProducts(
        products=[
            _similar(product, 1 - float(distance))
            for product, distance in zip(matches.products[0], matches.distances[0], strict=True)
        ],
        photos=len(photos),
        index=Index(version=index.version, products=len(index)),
        response_time=routing.response_time(request),
        model_inference_time=round(embedded.seconds, 6),
    )


@ROUTER.get(
    '/v1/similar/{number}/thumbnail',
    summary="A small picture of a product's first photo",
    response_class=Response,
    responses={
        200: {'content': {'image/jpeg': {'schema': {'type': 'string', 'format': 'binary'}}}},
        **error_responses(401, 404, 422),
    },
)
async def show_thumbnail(
    request: Request,
    number: Annotated[
        int, Path(ge=-_MAX_ID - 1, le=_MAX_ID, description='As in `thumbnail` of an answer.')
    ],
) -> Response:
    """Returns a JPEG."""
    photo = _current(request).thumbnail(number)
    if photo is None:
        raise RequestFailure(404, 'no_thumbnail', f'There is no photo of the product {number}.')
    return Response(photo, media_type='image/jpeg')


def _current(request: Request) -> ProductIndex:
    index: PublishedIndex | None = request.app.state.settings.index
    if index is None:
        raise RequestFailure(
            404, 'no_index', 'This gateway cannot search similar products; it has no index.'
        )
    return index.current


def _check_version(index: ProductIndex, version: str) -> None:
    """Embeddings of two versions of a model cannot be compared."""
    built_by = index.info.model.version
    if version and version != str(built_by):
        raise RequestFailure(
            503,
            'other_index',
            'Similar products are being prepared for a new model; try again later.',
            detail=f'the index is of model version {built_by}, the served one is {version}',
        )


def _similar(product: IndexedProduct, similarity: float) -> SimilarProduct:
    return SimilarProduct(
        product_id=product.shown_id,
        similarity=float(np.clip(similarity, -1, 1)),
        category_id=product.category_id,
        path=list(product.category),
        thumbnail=f'/v1/similar/{product.product_id}/thumbnail',
    )
