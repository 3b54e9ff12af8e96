"""What the server measures. Times are in microseconds, as in TensorFlow Serving.

Labels come from the server, never from a request alone: a name that no model has, or a signature
that the model has not, is an empty label. So clients cannot make the metrics grow.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from serving.monitoring.exposition import format_metrics
from serving.monitoring.metrics import Histogram, Metric, Number
from serving.protocol.status import Code, RequestError

_TF = ':tensorflow:serving'
_OURS = ':product_categories:serving'


def _latency(name: str, description: str, *labels: str) -> Histogram:
    """Returns a histogram of TensorFlow Serving's buckets: 10 microseconds to 20 minutes."""
    return Histogram(name, description, labels, scale=10, growth=1.8, buckets=33)


class ServerMetrics:
    """All metrics of a server."""

    def __init__(self) -> None:
        self.requests = Number(
            f'{_TF}:request_count', 'The total number of requests.', ['model_name', 'status']
        )
        self.request_latency = _latency(
            f'{_TF}:request_latency', 'Time of a request.', 'model_name', 'API', 'entrypoint'
        )
        self.runtime_latency = _latency(
            f'{_TF}:runtime_latency', 'Time of a run of a model.', 'model_name', 'API', 'runtime'
        )
        self.queuing_latency = Histogram(
            f'{_TF}:batching_session:queuing_latency',
            'Time that a request waits for its run.',
            ['thread_pool_name'],
            scale=100,
            growth=1.2,
            buckets=52,
        )
        self.batch_size = Histogram(
            f'{_TF}:batching_session:processed_batch_size',
            'Rows of a run.',
            ['thread_pool_name'],
            scale=1,
            growth=2,
            buckets=15,
        )
        self.runs = Number(
            f'{_TF}:batching_session:wrapped_run_count', 'The number of runs of models.'
        )
        self.loads = Number(
            ':tensorflow:cc:saved_model:load_attempt_count',
            'The number of times that a model was loaded.',
            ['model_path', 'status'],
        )
        self.load_time = Number(
            ':tensorflow:cc:saved_model:load_latency',
            'Time to verify and load models.',
            ['model_path'],
        )
        self.warmup_latency = _latency(
            f'{_TF}:model_warmup_latency', 'Time to warm up a model.', 'model_path', 'status'
        )
        self.signature_latency = _latency(
            f'{_OURS}:signature_latency',
            'Time of a request in the queue and in the model.',
            'model_name',
            'signature',
            'status',
        )
        self.queue_rows = Number(
            f'{_OURS}:queue_rows', 'Rows that wait for a run.', ['model_name'], kind='gauge'
        )
        self.refused = Number(
            f'{_OURS}:refused_count', 'Requests refused before they were read.', ['entrypoint']
        )
        self._metrics: list[Metric] = list(vars(self).values())
        self._names: set[str] = set()

    def for_model(self, name: str, *, runtime: str) -> 'ModelMetrics':
        """Returns the metrics of one model, whose name and runtime become labels."""
        self._names.add(name)
        return ModelMetrics(self, name, runtime)

    @contextlib.contextmanager
    def observe(self, model_name: str, *, api: str, entrypoint: str) -> Iterator[None]:
        """Measures a request: its time, and its status by the error that leaves the block."""
        start = time.monotonic()
        name = model_name if model_name in self._names else ''
        status = Code.INTERNAL
        try:
            yield
            status = Code.OK
        except RequestError as error:
            status = error.code
            raise
        finally:
            self.requests.add(1, name, status.name)
            self.request_latency.observe(_since(start), name, api, entrypoint)

    def text(self) -> str:
        """Returns the Prometheus text."""
        return format_metrics(self._metrics)


@dataclass(frozen=True)
class ModelMetrics:
    """The metrics of one model's queue."""

    _server: ServerMetrics
    _name: str
    _runtime: str

    @contextlib.contextmanager
    def observe(self, signature: str) -> Iterator[None]:
        """Measures a request; `signature` must be one of the model's, or ''."""
        start = time.monotonic()
        status = Code.INTERNAL
        try:
            yield
            status = Code.OK
        except RequestError as error:
            status = error.code
            raise
        finally:
            self._server.signature_latency.observe(
                _since(start), self._name, signature, status.name
            )

    def queued(self, rows: int) -> None:
        """Records rows that began to wait; negative if they no longer wait."""
        self._server.queue_rows.add(rows, self._name)

    def waited(self, seconds: float, *, thread_pool_name: str) -> None:
        """Records how long a request waited."""
        self._server.queuing_latency.observe(seconds * 1e6, thread_pool_name)

    @contextlib.contextmanager
    def observe_run(self, rows: int, *, thread_pool_name: str) -> Iterator[None]:
        """Measures a run of the model."""
        start = time.monotonic()
        self._server.runs.add(1)
        self._server.batch_size.observe(rows, thread_pool_name)
        try:
            yield
        finally:
            self._server.runtime_latency.observe(
                _since(start), self._name, 'Predict', self._runtime
            )


def _since(start: float) -> float:
    return (time.monotonic() - start) * 1e6
