"""The paths of the gateway, as an ASGI application."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from serving.backends.backend import Backend
from serving.gateway import operations, predictions, similar_products
from serving.gateway.classifier import Classifier
from serving.gateway.photos import Photos
from serving.intake import errors
from serving.intake.admission import Admission
from serving.intake.bodies import Bodies
from serving.intake.errors import RequestFailure
from serving.intake.key_check import DOCS_FILES, KeyCheck
from serving.intake.keys import KeyFile
from serving.intake.observer import Observer
from serving.intake.options import Limits
from serving.observation.drift import ClassMix, Prior
from serving.observation.metrics import Metrics
from serving.similar.published_index import PublishedIndex

INDEX_POLL_SECONDS = 1
KEYS_POLL_SECONDS = 5

_DESCRIPTION = """
Classifies product photos into the categories of a shop.

A request is a multipart form with files; a response is JSON. Errors have one sentence for people in
`error`, and one word for programs in `reason`.
"""


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
      index: The products that similar ones are searched in.
    """

    model: str
    limits: Limits
    threads: int = 2
    api_keys: KeyFile | None = None
    cors_origins: tuple[str, ...] = ()
    prior: Prior | None = None
    index: PublishedIndex | None = None


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
        stop = threading.Event()
        for watched, seconds in (
            (settings.index, INDEX_POLL_SECONDS),
            (settings.api_keys, KEYS_POLL_SECONDS),
        ):
            if watched:
                threading.Thread(
                    target=watched.watch, args=[seconds], kwargs={'until': stop}
                ).start()
        yield
        stop.set()
        await backend.close()

    counters = Metrics()
    app = FastAPIOffline(  # the page /docs loads nothing from the internet
        title='Product categories',
        description=_DESCRIPTION,
        version='1',
        lifespan=lifespan,
        redoc_url=None,
        static_url=DOCS_FILES,
    )
    app.state.settings = settings
    app.state.stopping = threading.Event()
    app.state.metrics = counters
    for router in (predictions.ROUTER, similar_products.ROUTER, operations.ROUTER):
        app.include_router(router)
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
