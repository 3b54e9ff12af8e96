"""The paths of the gateway, as an ASGI application."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import FastAPI, File, Query, Request, Response, Security, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.exceptions import HTTPException

from serving.backends.backend import Backend
from serving.clients.prediction import Prediction, RankedCategory
from serving.gateway.classifier import Classifier
from serving.gateway.photos import Photos
from serving.gateway.responses import (
    Category,
    Health,
    Model,
    PhotoPrediction,
    ProductPrediction,
    Sure,
    error_responses,
)
from serving.intake import errors
from serving.intake.admission import Admission
from serving.intake.bodies import Bodies
from serving.intake.errors import RequestFailure
from serving.intake.key_check import KeyCheck
from serving.intake.keys import ApiKeys
from serving.intake.observer import Observer
from serving.intake.options import Limits
from serving.observation import metrics
from serving.observation.drift import ClassMix, Prior
from serving.observation.metrics import Metrics
from serving.protocol.names import DEFAULT_SIGNATURE, PRODUCT_SIGNATURE

READY_SECONDS = 2  # for the model's server to answer a probe
MIN_LEVELS = 3  # of /predict

_DESCRIPTION = """
Classifies product photos into the categories of a shop.

A request is a multipart form with files; a response is JSON. Errors have one sentence for people in
`error`, and one word for programs in `reason`.
"""
_KEY_SCHEMES = [  # described here, checked by `keys.KeyCheck` before a body is received
    Security(APIKeyHeader(name='X-API-Key', auto_error=False)),
    Security(HTTPBearer(auto_error=False)),
]
_ERRORS = error_responses(400, 401, 408, 413, 422, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Settings:
    """What an application needs besides its backend.

    Attributes:
      model: Name of the model in responses.
      limits: Limits of requests.
      threads: Threads that decode photos.
      api_keys: Accepted keys; None if requests need none.
      cors_origins: Origins whose pages may send requests; none by default.
      prior: Class prior to compare the answers with.
    """

    model: str
    limits: Limits
    threads: int = 2
    api_keys: ApiKeys | None = None
    cors_origins: tuple[str, ...] = ()
    prior: Prior | None = None


def build_application(connect: Callable[[], Backend], settings: Settings) -> FastAPI:
    """Builds the application.

    Args:
      connect: Returns the backend; called once, in the event loop of the application.
      settings: The other settings.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        backend = connect()
        app.state.classifier = _classifier(backend, settings, counters)
        yield
        await backend.close()

    counters = Metrics()
    app = FastAPI(
        title='Product categories',
        description=_DESCRIPTION,
        version='1',
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.metrics = counters
    _add_operations(app)
    _add_predictions(app)
    _add_error_handlers(app)
    app.add_middleware(Bodies, limits=settings.limits)
    if settings.api_keys:
        app.add_middleware(KeyCheck, keys=settings.api_keys)
    app.add_middleware(Observer, metrics=counters, paths=frozenset(app.openapi()['paths']))
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins, allow_headers=['*'])
    return app


def _classifier(backend: Backend, settings: Settings, counters: Metrics) -> Classifier:
    limits = settings.limits
    admission = Admission(running=limits.running, waiting=limits.waiting)
    counters.watch_queue(running=lambda: admission.running, waiting=lambda: admission.waiting)
    mix = ClassMix(settings.prior) if settings.prior else None
    if mix is not None:
        counters.watch_class_mix(mix)
    photos = Photos(backend.prepare, limits=limits, threads=settings.threads)
    return Classifier(backend, photos, admission, counters, mix)


def _add_operations(app: FastAPI) -> None:
    @app.get('/healthz', tags=['operations'], summary='Whether the gateway runs')
    async def healthz() -> Health:
        return Health(status='ok')

    @app.get(
        '/readyz',
        tags=['operations'],
        summary='Whether the gateway and its model are ready',
        responses=error_responses(503),
    )
    async def readyz(request: Request) -> Health:
        classifier: Classifier = request.app.state.classifier
        reason = await classifier.backend.readiness_error(READY_SECONDS)
        classifier.metrics.ready(not reason)
        if reason:
            raise RequestFailure(503, 'not_ready', f'The model is not ready: {reason}')
        return Health(status='ready')

    @app.get(
        '/metrics',
        tags=['operations'],
        summary='Metrics for Prometheus',
        response_class=Response,
        responses={
            200: {'content': {'text/plain': {'schema': {'type': 'string'}}}},
            **error_responses(401),
        },
        dependencies=_KEY_SCHEMES,
    )
    async def show_metrics(request: Request) -> Response:
        return Response(request.app.state.metrics.to_bytes(), media_type=metrics.CONTENT_TYPE)


def _add_predictions(app: FastAPI) -> None:
    @app.post(
        '/predict',
        tags=['predictions'],
        summary='The category of one photo',
        responses=_ERRORS,
        dependencies=_KEY_SCHEMES,
    )
    async def predict(
        request: Request, file: Annotated[UploadFile, File(description='The photo.')]
    ) -> PhotoPrediction:
        classifier: Classifier = request.app.state.classifier
        photos = await classifier.photos.read([file])
        classified = await classifier.classify(
            DEFAULT_SIGNATURE, photos, deadline=_deadline(request)
        )
        best = classified.prediction.categories[0]
        names = [*best.levels, *[''] * (MIN_LEVELS - len(best.levels))]
        levels = {f'category_level{level}': name for level, name in enumerate(names, start=1)}
        return PhotoPrediction(
            category_index=best.label,
            confidence=best.confidence,
            category_id=_shown_id(best),
            response_time=_response_time(request),
            model_inference_time=round(classified.seconds, 6),
            **levels,
        )

    @app.post(
        '/v1/products:classify',
        tags=['predictions'],
        summary='The categories of one product, from all its photos',
        responses=_ERRORS,
        dependencies=_KEY_SCHEMES,
    )
    async def classify_product(
        request: Request,
        files: Annotated[list[UploadFile], File(description='Photos of one product.')],
        top_k: Annotated[
            int, Query(ge=1, le=100, description='Categories; at most those of the model.')
        ] = 5,
    ) -> ProductPrediction:
        classifier: Classifier = request.app.state.classifier
        photos = await classifier.photos.read(files)
        classified = await classifier.classify(
            PRODUCT_SIGNATURE, photos, deadline=_deadline(request)
        )
        prediction = classified.prediction
        return ProductPrediction(
            categories=[_category(category) for category in prediction.categories[:top_k]],
            sure=_sure(prediction),
            photos=len(photos),
            model=Model(name=request.app.state.settings.model, version=classified.version),
            response_time=_response_time(request),
            model_inference_time=round(classified.seconds, 6),
        )


def _add_error_handlers(app: FastAPI) -> None:
    def respond(request: Request, failure: RequestFailure) -> JSONResponse:
        request.state.failure = failure
        return errors.to_response(failure)

    @app.exception_handler(RequestFailure)
    async def handle_failure(request: Request, error: RequestFailure) -> JSONResponse:
        return respond(request, error)

    @app.exception_handler(HTTPException)
    async def handle_http(request: Request, error: HTTPException) -> JSONResponse:
        response = respond(request, errors.from_http(request, error))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def handle_validation(request: Request, error: RequestValidationError) -> JSONResponse:
        return respond(request, errors.from_validation(error))


def _deadline(request: Request) -> float:
    limits: Limits = request.app.state.settings.limits
    return request.state.received + limits.timeout_seconds


def _response_time(request: Request) -> float:
    return round(time.monotonic() - request.state.started, 6)


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
