"""The paths that classify photos and products."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, File, Query, Request, UploadFile

from serving.clients.prediction import Prediction, RankedCategory
from serving.gateway import routing
from serving.gateway.responses import Category, Model, PhotoPrediction, ProductPrediction, Sure
from serving.intake.errors import RequestFailure
from serving.protocol.names import DEFAULT_SIGNATURE, PRODUCT_SIGNATURE

MIN_LEVELS = 3  # of /predict

ROUTER = APIRouter(tags=['predictions'], responses=routing.ERRORS, dependencies=routing.KEY_SCHEMES)


@ROUTER.post(
    '/predict',
    summary='The category of one photo',
)
async def predict(
    request: Request, file: Annotated[UploadFile, File(description='The photo.')]
) -> PhotoPrediction:
    """Returns the most probable category.

    The confidence is calibrated for single photos. That of `/v1/products:classify` is calibrated
    for products, so it differs, also for a product with one photo.
    """
    await _check_one_photo(request)
    classifier = routing.classifier(request)
    photos = await classifier.photos.read([file])
    classified = await classifier.classify(
        DEFAULT_SIGNATURE, photos, deadline=routing.deadline(request)
    )
    best = classified.prediction.categories[0]
    names = [*best.levels, *[''] * (MIN_LEVELS - len(best.levels))]
    levels = {f'category_level{level}': name for level, name in enumerate(names, start=1)}
    return PhotoPrediction(
        category_index=best.label,
        confidence=best.confidence,
        category_id=_shown_id(best),
        response_time=routing.response_time(request),
        model_inference_time=round(classified.seconds, 6),
        **levels,
    )


async def _check_one_photo(request: Request) -> None:
    form = await request.form()
    photos = sum(not isinstance(value, str) for _, value in form.multi_items())
    if photos > 1:
        raise RequestFailure(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            'one_photo',
            f'Send one photo, got {photos}; /v1/products:classify takes several of one product.',
        )


@ROUTER.post(
    '/v1/products:classify',
    summary='The categories of one product, from all its photos',
)
async def classify_product(
    request: Request,
    files: routing.Files,
    top_k: Annotated[
        int, Query(ge=1, le=100, description='Categories; at most those of the model.')
    ] = 5,
) -> ProductPrediction:
    """Returns the most probable categories, and the deepest level that the model is sure of.

    The confidence is calibrated for products. That of `/predict` is calibrated for single photos.
    """
    classifier = routing.classifier(request)
    photos = await classifier.photos.read(files)
    classified = await classifier.classify(
        PRODUCT_SIGNATURE, photos, deadline=routing.deadline(request)
    )
    prediction = classified.prediction
    return ProductPrediction(
        categories=[_category(category) for category in prediction.categories[:top_k]],
        sure=_sure(prediction),
        photos=len(photos),
        model=Model(name=request.app.state.settings.model, version=classified.version),
        response_time=routing.response_time(request),
        model_inference_time=round(classified.seconds, 6),
    )


def _shown_id(category: RankedCategory) -> int | str:
    return category.category_id if category.code is None else category.code


def _path(category: RankedCategory) -> list[str]:
    return [name for name in category.levels if name]


def _category(category: RankedCategory) -> Category:
    return Category(
        category_index=category.label,
        category_id=_shown_id(category),
        confidence=category.confidence,
        path=_path(category),
    )


def _sure(prediction: Prediction) -> Sure:
    level = prediction.level or 0
    return Sure(level=level, path=_path(prediction.categories[0])[:level])
