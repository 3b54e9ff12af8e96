"""The paths for operators: probes and metrics."""

from fastapi import APIRouter, Request, Response

from serving.gateway import routing
from serving.gateway.responses import Health, error_responses
from serving.intake.errors import RequestFailure
from serving.observation import metrics

READY_SECONDS = 2  # for the model's server to answer a probe

ROUTER = APIRouter(tags=['operations'])


@ROUTER.get('/healthz', summary='Whether the gateway runs')
async def healthz() -> Health:
    """Answers while the process runs, for a liveness probe."""
    return Health(status='ok')


@ROUTER.get(
    '/readyz',
    summary='Whether the gateway and its model are ready',
    responses=error_responses(503),
)
async def readyz(request: Request) -> Health:
    """Asks the model's server, for a readiness probe."""
    if request.app.state.stopping.is_set():
        raise RequestFailure(503, 'stopping', 'The gateway is stopping; use another one.')
    classifier = routing.classifier(request)
    reason = await classifier.backend.readiness_error(READY_SECONDS)
    classifier.metrics.ready(not reason)
    if reason:
        raise RequestFailure(503, 'not_ready', f'The model is not ready: {reason}')
    return Health(status='ready')


@ROUTER.get(
    '/metrics',
    summary='Metrics for Prometheus',
    response_class=Response,
    responses={
        200: {'content': {'text/plain': {'schema': {'type': 'string'}}}},
        **error_responses(401),
    },
    dependencies=routing.KEY_SCHEMES,
)
async def show_metrics(request: Request) -> Response:
    """Returns Prometheus's text format."""
    return Response(request.app.state.metrics.to_bytes(), media_type=metrics.CONTENT_TYPE)
