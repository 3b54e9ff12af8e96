"""Metrics for Prometheus. Names: https://prometheus.io/docs/practices/naming."""

import functools
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    exposition,
)

from serving.observation.drift import ClassMix

CONTENT_TYPE = exposition.CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_CONFIDENCES = tuple(step / 20 for step in range(1, 21))


class Metrics:
    """The metrics of one gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Histogram(
            'gateway_request_seconds',
            'Time from the headers of a request to its response.',
            ['path', 'status'],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._inference = Histogram(
            'gateway_inference_seconds',
            "Time of the model's server, network included.",
            ['signature'],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._queue = Histogram(
            'gateway_queue_seconds',
            'Time that a request waited for the model.',
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._confidence = Histogram(
            'gateway_confidence',
            'Confidence of the most probable category.',
            ['signature'],
            buckets=_CONFIDENCES,
            registry=self.registry,
        )
        self._levels = Counter(
            'gateway_answers',
            'Answers about products by the deepest level of the tree that the model is sure of.',
            ['level'],
            registry=self.registry,
        )
        self._errors = Counter(
            'gateway_errors',
            'Requests that ended with an error.',
            ['reason'],
            registry=self.registry,
        )
        self._ready = Gauge(
            'gateway_model_ready', 'Whether the model is ready, 0 or 1.', registry=self.registry
        )

    def watch_queue(self, *, running: Callable[[], float], waiting: Callable[[], float]) -> None:
        """Shows how many requests run and wait."""
        for name, text, read in (
            ('gateway_running_requests', "Requests in the model's server.", running),
            ('gateway_waiting_requests', 'Requests that wait for the model.', waiting),
        ):
            Gauge(name, text, registry=self.registry).set_function(read)

    def watch_class_mix(self, mix: ClassMix) -> None:
        """Shows how far the class mix of the answers is from the prior, at each level."""
        distance = Gauge(
            'gateway_class_mix_distance',
            'Share of the latest answers that the prior expects in other categories, 0 to 1.',
            ['level'],
            registry=self.registry,
        )
        expected = Gauge(
            'gateway_class_mix_distance_expected',
            'The distance to expect by chance of so many answers, without drift.',
            ['level'],
            registry=self.registry,
        )
        for level in range(1, mix.levels + 1):
            distance.labels(level).set_function(functools.partial(_distance, mix, level))
            expected.labels(level).set_function(functools.partial(_expected, mix, level))
        Gauge(
            'gateway_class_mix_answers', 'Answers that are compared.', registry=self.registry
        ).set_function(lambda: len(mix))

    def request(self, *, path: str, status: int, seconds: float) -> None:
        """Counts a request. `path` is one of the application's paths, or another constant."""
        self._requests.labels(path, status).observe(seconds)

    def error(self, reason: str) -> None:
        """Counts an error."""
        self._errors.labels(reason).inc()

    def inference(self, signature: str, *, queue_seconds: float, seconds: float) -> None:
        """Counts a call of the model."""
        self._queue.observe(queue_seconds)
        self._inference.labels(signature).observe(seconds)

    def answer(self, signature: str, *, confidence: float, level: int | None) -> None:
        """Counts an answer."""
        self._confidence.labels(signature).observe(confidence)
        if level is not None:
            self._levels.labels(level).inc()

    def ready(self, is_ready: bool) -> None:
        """Shows whether the model is ready."""
        self._ready.set(is_ready)

    def to_bytes(self) -> bytes:
        """Returns the metrics in Prometheus's text format."""
        return exposition.generate_latest(self.registry)


def _distance(mix: ClassMix, level: int) -> float:
    return mix.drift(level).distance


def _expected(mix: ClassMix, level: int) -> float:
    return mix.drift(level).expected
