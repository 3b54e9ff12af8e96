"""The shares of workers, against the batch that they make together."""

import pytest

from trainer.epochs.streams import Share, shares


@pytest.mark.parametrize(
    ('streams', 'workers'), [(1, 1), (1, 4), (4, 4), (4, 1), (4, 2), (4, 3), (3, 4), (2, 6)]
)
def test_the_workers_take_each_row_of_each_stream_once_in_order(streams: int, workers: int) -> None:
    rows = [
        (share.stream, row)
        for worker in range(workers)
        for share in shares(24, streams=streams, worker=worker, num_workers=workers)
        for row in range(share.rows.start, share.rows.stop)
    ]
    assert rows == [(stream, row) for stream in range(streams) for row in range(24 // streams)]


def test_one_worker_has_the_first_row_of_a_stream() -> None:
    by_worker = [shares(12, streams=2, worker=w, num_workers=4) for w in range(4)]
    assert by_worker[1] == [Share(0, slice(3, 6))]
    first = [[share.stream for share in own if share.is_first] for own in by_worker]
    assert first == [[0], [], [1], []]
