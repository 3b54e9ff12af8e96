"""Closed-loop load: each of some clients sends its next request when it has the last answer."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Send = Callable[[bytes], object]  # sends a photo; the answer is ignored


@dataclass(frozen=True)
class Load:
    """What a load found.

    Attributes:
      rate: Answers a second.
      p50: Median time of a request, in milliseconds.
      p99: The time that 99 % of the requests took at most, in milliseconds.
    """

    rate: float
    p50: float
    p99: float


def run(connect: Callable[[], Send], photos: list[bytes], *, clients: int, seconds: float) -> Load:
    """Runs a load; the first answer of each client is not counted.

    Args:
      connect: Opens a client's own connection.
      photos: Sent in turn.
      clients: Number of clients.
      seconds: How long to send, after all clients have their first answer.
    """
    ready = threading.Barrier(clients + 1)
    stop = threading.Event()
    taken: list[list[float]] = [[] for _ in range(clients)]
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            send = connect()
            send(photos[number % len(photos)])
            ready.wait()
            turn = number
            while not stop.is_set():
                turn += clients
                start = time.perf_counter()
                send(photos[turn % len(photos)])
                taken[number].append(time.perf_counter() - start)
        except Exception as error:
            errors.append(error)
            ready.abort()

    threads = [threading.Thread(target=work, args=[number]) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        ready.wait()
        start = time.perf_counter()
        time.sleep(seconds)
    except threading.BrokenBarrierError:
        start = time.perf_counter()
    stop.set()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - start
    if errors:
        raise errors[0]
    each = 1000 * np.concatenate([np.array(one) for one in taken])
    return Load(len(each) / elapsed, float(np.median(each)), float(np.quantile(each, 0.99)))
