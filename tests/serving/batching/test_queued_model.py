"""A real model behind its queue: batches, deadlines, limits and errors."""

import concurrent.futures
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.batching.admission import Admission
from serving.batching.model import QueuedModel
from serving.config.batching import Batching
from serving.monitoring.server_metrics import ServerMetrics
from serving.protocol.status import Code, RequestError
from serving.runtimes.model import Arrays, Model, Outputs
from serving.runtimes.saved_model import SavedModel
from tests.serving.colours import BLUE, GREEN, RED, jpeg, save_version
from tests.serving.slow_requests import wait_for

# A batch is computed in another order than its rows alone: float32 noise.
TOLERANCE = 1e-6
PICTURES = [jpeg(colour) for colour in (RED, GREEN, BLUE)]


class Recorder:
    """Passes runs on to a model and records the signature and the rows of each."""

    def __init__(self, model: Model) -> None:
        self.signatures = model.signatures
        self.runtime = model.runtime
        self.runs: list[tuple[str, int]] = []
        self.closed = False
        self._model = model

    def run(
        self,
        signature_name: str,
        inputs: Arrays,
        *,
        outputs: Sequence[str] = (),
        timeout_seconds: float | None = None,
    ) -> Outputs:
        rows = {array.shape[0] if array.ndim else 0 for array in inputs.values()}
        self.runs.append((signature_name, max(rows)))
        return self._model.run(
            signature_name, inputs, outputs=outputs, timeout_seconds=timeout_seconds
        )

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    base = tmp_path_factory.mktemp('model')
    save_version(base, 1)
    return SavedModel(str(base / '1'))


@pytest.fixture
def recorder(model: SavedModel) -> Recorder:
    return Recorder(model)


@pytest.fixture
def pool() -> Iterator[concurrent.futures.ThreadPoolExecutor]:
    with concurrent.futures.ThreadPoolExecutor(16) as executor:
        yield executor


class Busy:
    """A queued model whose only thread runs a request until `release`."""

    def __init__(self, recorder: Recorder, folder: Path, pool: Any, **limits: int) -> None:
        admitted = limits.pop('admitted', 100)
        batching = Batching(**{'max_batch_size': 8, 'max_enqueued_batches': 4, **limits}, threads=1)
        self.metrics = ServerMetrics()
        self.queued = QueuedModel(
            recorder,
            batching,
            admission=Admission(admitted),
            metrics=self.metrics.for_model('colours', runtime='TF1'),
        )
        self._pool, self._folder = pool, folder
        wait = {
            'started_file': np.array(str(folder / 'started').encode(), object),
            'awaited_file': np.array(str(folder / 'awaited').encode(), object),
        }
        self.slow = pool.submit(self.queued.run, 'wait', wait)
        wait_for((folder / 'started').exists)

    def submit(self, signature: str, inputs: dict[str, Any], **options: Any) -> Any:
        """Queues a request, in the order of the calls, and returns its future."""
        before = len(self.queued._queue)
        future = self._pool.submit(self.queued.run, signature, inputs, **options)
        wait_for(lambda: len(self.queued._queue) > before or future.done())
        return future

    def release(self) -> None:
        (self._folder / 'awaited').touch()
        self.slow.result(timeout=300)


@pytest.fixture
def busy(recorder: Recorder, tmp_path: Path, pool: Any) -> Iterator[Callable[..., Busy]]:
    made: list[Busy] = []

    def make(**limits: int) -> Busy:
        made.append(Busy(recorder, tmp_path, pool, **limits))
        return made[-1]

    yield make
    for one in made:
        one.release()
        one.queued.close()


def pictures(*which: int) -> dict[str, Any]:
    return {'image_bytes': np.array([PICTURES[number] for number in which], object)}


def products(which: Sequence[int], numbers: Sequence[int]) -> dict[str, Any]:
    return {**pictures(*which), 'product': np.array(numbers, np.int64)}


def assert_same(got: Outputs, expected: Outputs) -> None:
    assert set(got) == set(expected)
    for name, array in expected.items():
        if array.dtype.kind == 'f':
            np.testing.assert_allclose(got[name], array, atol=TOLERANCE)
        else:
            np.testing.assert_array_equal(got[name], array)


def test_what_queued_while_a_run_took_is_one_batch_with_the_same_outputs(
    busy: Callable[..., Busy], recorder: Recorder, model: SavedModel
) -> None:
    one = busy()
    default = [pictures(0), pictures(1, 2), pictures(2)]
    product = [products([0, 1], [0, 0]), products([2, 1], [0, 1]), products([0], [0])]
    results = [one.submit('', inputs) for inputs in default]
    results += [one.submit('product', inputs) for inputs in product]
    filtered = one.submit('', pictures(0), outputs=['label'])
    one.release()
    for inputs, result in zip([*default, *product], results, strict=True):
        name = 'product' if 'product' in inputs else 'serving_default'
        assert_same(result.result(timeout=300), model.run(name, inputs))
    assert set(filtered.result(timeout=300)) == {'label'}
    assert recorder.runs == [
        ('wait', 0),
        ('serving_default', 4),
        ('product', 5),
        ('serving_default', 1),
    ]


def test_a_batch_has_at_most_its_size_and_requests_keep_their_order(
    busy: Callable[..., Busy], recorder: Recorder
) -> None:
    one = busy(max_batch_size=3)
    results = [one.submit('embedding', pictures(*[0] * rows)) for rows in (2, 2, 1, 3)]
    one.release()
    assert [len(result.result(timeout=300)['embedding']) for result in results] == [2, 2, 1, 3]
    assert [rows for _, rows in recorder.runs[1:]] == [2, 3, 3]
    with pytest.raises(RequestError, match='Task size 4 is larger than maximum input batch size 3'):
        one.queued.run('embedding', pictures(0, 0, 0, 0))


def test_an_invalid_request_fails_alone(
    busy: Callable[..., Busy], model: SavedModel, recorder: Recorder
) -> None:
    one = busy()
    good = [one.submit('', pictures(0)), one.submit('', pictures(1, 2))]
    bad = one.submit('', {'image_bytes': np.array([b'not a picture'], object)})
    gap = one.submit('product', products([0, 1], [0, 2]))
    whole = one.submit('product', products([0, 1], [0, 1]))
    one.release()
    assert_same(good[0].result(timeout=300), model.run('', pictures(0)))
    assert_same(good[1].result(timeout=300), model.run('', pictures(1, 2)))
    with pytest.raises(RequestError, match='Unknown image file format') as caught:
        bad.result(timeout=300)
    assert caught.value.code == Code.INVALID_ARGUMENT
    assert_same(whole.result(timeout=300), model.run('product', products([0, 1], [0, 1])))
    assert gap.exception(timeout=300) or len(gap.result()['level']) == 3
    assert [rows for name, rows in recorder.runs if name == 'serving_default'] == [4, 1, 2, 1]
    assert [rows for name, rows in recorder.runs if name == 'product'] == [2, 2]


def test_an_expired_request_is_not_run(busy: Callable[..., Busy], recorder: Recorder) -> None:
    one = busy()
    late = one.submit('embedding', pictures(0, 1), timeout_seconds=0.05)
    with pytest.raises(RequestError) as caught:
        late.result(timeout=300)
    assert caught.value.code == Code.DEADLINE_EXCEEDED
    result = one.submit('embedding', pictures(2), timeout_seconds=300)
    one.release()
    assert len(result.result(timeout=300)['embedding']) == 1
    assert recorder.runs == [('wait', 0), ('embedding', 1)]


def test_a_full_queue_refuses_with_a_hint_and_keeps_what_it_has(
    busy: Callable[..., Busy],
) -> None:
    one = busy(max_batch_size=4, max_enqueued_batches=2)  # 8 rows
    accepted = [one.submit('embedding', pictures(0, 1, 2)) for _ in range(2)]
    with pytest.raises(RequestError, match='2 batches are already') as caught:
        one.queued.run('embedding', pictures(0, 1, 2))
    assert caught.value.code == Code.RESOURCE_EXHAUSTED
    assert caught.value.retry_after_seconds is not None
    accepted.append(one.submit('embedding', pictures(0, 1)))  # fits
    one.release()
    assert [len(a.result(timeout=300)['embedding']) for a in accepted] == [3, 3, 2]


def test_the_number_of_requests_is_limited_too(busy: Callable[..., Busy]) -> None:
    one = busy(admitted=2)
    waiting = one.submit('embedding', pictures(0))
    with pytest.raises(RequestError, match='2 requests are already') as caught:
        one.queued.run('embedding', pictures(0))
    assert caught.value.code == Code.RESOURCE_EXHAUSTED
    one.release()
    assert len(waiting.result(timeout=300)['embedding']) == 1
    assert len(one.queued.run('embedding', pictures(0))['embedding']) == 1  # there is room again


def test_without_batching_each_request_runs_alone(
    recorder: Recorder, tmp_path: Path, pool: Any
) -> None:
    one = Busy(recorder, tmp_path, pool, max_batch_size=None)
    results = [one.submit('embedding', pictures(0, 1)) for _ in range(2)]
    one.release()
    assert [len(result.result(timeout=300)['embedding']) for result in results] == [2, 2]
    assert recorder.runs[1:] == [('embedding', 2), ('embedding', 2)]
    one.queued.close()


def test_closing_waits_for_queued_requests(recorder: Recorder, tmp_path: Path, pool: Any) -> None:
    one = Busy(recorder, tmp_path, pool)
    waiting = one.submit('embedding', pictures(0))
    closed = pool.submit(one.queued.close)
    assert not recorder.closed
    one.release()
    closed.result(timeout=300)
    assert recorder.closed
    assert len(waiting.result(timeout=300)['embedding']) == 1
