"""A model behind a bounded queue. Threads run its requests, merged where they can be merged.

Expired requests are not run. If a merged run fails, each of its requests is run alone, so that an
invalid request fails alone.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Sequence

from serving.batching import merging
from serving.batching.admission import Admission, too_many
from serving.batching.request import WaitingRequest, expired
from serving.config.batching import Batching
from serving.monitoring.server_metrics import ModelMetrics
from serving.protocol.names import DEFAULT_SIGNATURE
from serving.protocol.status import invalid_argument
from serving.runtimes.model import Arrays, Model, Outputs

_RECENT = 0.2  # weight of the last run in the mean time of a run


class QueuedModel:
    """A `runtimes.model.Model` that runs another one in threads of its own."""

    def __init__(
        self, model: Model, batching: Batching, *, admission: Admission, metrics: ModelMetrics
    ) -> None:
        """Takes over a model, and closes it when it is closed itself."""
        self._metrics = metrics
        self.signatures = model.signatures
        self.runtime = model.runtime
        self._model = model
        self._batching = batching
        self._admission = admission
        self._changed = threading.Condition()  # guards what follows
        self._queue: deque[WaitingRequest] = deque()
        self._unsplittable: set[str] = set()  # signatures whose outputs are not by row
        self._queued_rows = 0
        self._run_seconds = 0.0  # mean of recent runs
        self._closing = False
        self._threads = [
            threading.Thread(
                target=self._work, name=f'{batching.thread_pool_name}-{number}', daemon=True
            )
            for number in range(batching.threads)
        ]
        for thread in self._threads:
            thread.start()

    def run(
        self,
        signature_name: str,
        inputs: Arrays,
        *,
        outputs: Sequence[str] = (),
        timeout_seconds: float | None = None,
    ) -> Outputs:
        """Queues a request and returns its outputs.

        Raises:
          RequestError: RESOURCE_EXHAUSTED if too many requests wait, DEADLINE_EXCEEDED, or an error
            of the model.
        """
        name = signature_name or DEFAULT_SIGNATURE
        with self._metrics.observe(name if name in self.signatures else ''):
            return self._queue_request(
                name, inputs, outputs=outputs, timeout_seconds=timeout_seconds
            )

    def close(self) -> None:
        """Waits for the runs in progress, then frees the model's memory."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._model.close()

    def _queue_request(
        self, name: str, inputs: Arrays, *, outputs: Sequence[str], timeout_seconds: float | None
    ) -> Outputs:
        request = WaitingRequest(
            name,
            inputs,
            outputs,
            deadline=None if timeout_seconds is None else time.monotonic() + timeout_seconds,
            shape=self._shape(name, inputs, outputs),
        )
        self._check_size(request)
        with self._admission.admit(retry_after_seconds=self._retry_after_seconds()):
            self._enqueue(request)
            return request.wait()

    def _shape(self, name: str, inputs: Arrays, outputs: Sequence[str]) -> merging.Shape | None:
        if not self._batching.max_batch_size or name in self._unsplittable:
            return None
        return merging.shape(name, self.signatures.get(name), inputs, outputs)

    def _check_size(self, request: WaitingRequest) -> None:
        limit = self._batching.max_batch_size
        if limit and request.rows > limit:
            raise invalid_argument(
                f'Task size {request.rows} is larger than maximum input batch size {limit}'
            )

    def _enqueue(self, request: WaitingRequest) -> None:
        with self._changed:
            if self._queued_rows + request.rows > self._batching.capacity:
                what = f'{self._batching.max_enqueued_batches} batches are'
                raise too_many(what, self._retry_after_seconds())
            self._queue.append(request)
            self._add_rows(request.rows)
            self._changed.notify()

    def _add_rows(self, rows: int) -> None:
        self._queued_rows += rows
        self._metrics.queued(rows)

    def _retry_after_seconds(self) -> float:
        """Returns how long the requests that wait now are expected to take."""
        batches = 1 + self._queued_rows / (self._batching.max_batch_size or 1)
        return batches * self._run_seconds / self._batching.threads

    def _work(self) -> None:
        while batch := self._take():
            requests = [request for request in batch if request.start()]
            if requests:
                start = time.monotonic()
                for request in requests:
                    self._metrics.waited(
                        start - request.queued_at, thread_pool_name=self._batching.thread_pool_name
                    )
                self._run_batch(requests)
                self._run_seconds += _RECENT * (time.monotonic() - start - self._run_seconds)

    def _take(self) -> list[WaitingRequest]:
        """Waits for a request; returns it with those that can be merged with it; [] at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            if not self._queue:
                return []
            batch = [self._queue.popleft()]
            if batch[0].shape:
                self._add_mergeable(batch)
            self._add_rows(-sum(request.rows for request in batch))
            return batch

    def _add_mergeable(self, batch: list[WaitingRequest]) -> None:
        key, rows = batch[0].shape and batch[0].shape.key, batch[0].rows
        others: list[WaitingRequest] = []
        while self._queue:
            request = self._queue.popleft()
            if request.shape is None or request.shape.key != key:
                others.append(request)
            elif rows + request.rows > (self._batching.max_batch_size or 0):
                others.append(request)
                break  # later ones must not overtake it
            else:
                batch.append(request)
                rows += request.rows
        self._queue.extendleft(reversed(others))

    def _run_batch(self, requests: Sequence[WaitingRequest]) -> None:
        if len(requests) > 1:
            with contextlib.suppress(Exception):  # perhaps the fault of one, or of their number
                if self._run_merged(requests):
                    return
        for request in requests:
            self._run_alone(request)

    def _run_merged(self, requests: Sequence[WaitingRequest]) -> bool:
        """Returns False if the outputs cannot be split."""
        first = requests[0]
        remaining = [request.remaining_seconds for request in requests]
        limits = [seconds for seconds in remaining if seconds is not None]
        with self._observe_run(requests):
            outputs = self._model.run(
                first.signature_name,
                merging.merge(first.signature_name, [request.inputs for request in requests]),
                outputs=first.outputs,
                timeout_seconds=max(limits) if len(limits) == len(requests) else None,
            )
        sizes = [request.shape.output_rows for request in requests if request.shape]
        parts = merging.split(outputs, sizes)
        if parts is None:
            self._unsplittable.add(first.signature_name)
            return False
        for request, part in zip(requests, parts, strict=True):
            request.succeed(part)
        return True

    def _observe_run(
        self, requests: Sequence[WaitingRequest]
    ) -> contextlib.AbstractContextManager[None]:
        return self._metrics.observe_run(
            sum(request.rows for request in requests),
            thread_pool_name=self._batching.thread_pool_name,
        )

    def _run_alone(self, request: WaitingRequest) -> None:
        remaining = request.remaining_seconds
        if remaining is not None and remaining <= 0:
            request.fail(expired())
            return
        try:
            with self._observe_run([request]):
                outputs = self._model.run(
                    request.signature_name,
                    request.inputs,
                    outputs=request.outputs,
                    timeout_seconds=remaining,
                )
        except Exception as error:
            request.fail(error)
        else:
            request.succeed(outputs)
