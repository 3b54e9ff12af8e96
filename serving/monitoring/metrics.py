"""Counters, gauges and histograms with labels. Thread-safe."""

import bisect
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """One line of the Prometheus text."""

    name: str
    labels: dict[str, str]
    value: float


class Number:
    """A counter, which only increases, or a gauge."""

    def __init__(
        self,
        name: str,
        description: str,
        labels: Sequence[str] = (),
        *,
        kind: Literal['counter', 'gauge'] = 'counter',
    ) -> None:
        """`labels` are the names of the labels."""
        self.name, self.description, self.kind = name, description, kind
        self._labels = labels
        self._lock = threading.Lock()
        self._values: dict[Labels, float] = {}

    def add(self, amount: float, *labels: str) -> None:
        """Adds to the value with these labels."""
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + amount

    def samples(self) -> Iterator[Sample]:
        """Yields the value of each combination of labels."""
        with self._lock:
            values = sorted(self._values.items())
        for labels, value in values:
            yield Sample(self.name, dict(zip(self._labels, labels, strict=True)), value)


class Histogram:
    """Counts of values in buckets that grow exponentially."""

    kind = 'histogram'

    def __init__(
        self,
        name: str,
        description: str,
        labels: Sequence[str] = (),
        *,
        scale: float,
        growth: float,
        buckets: int,
    ) -> None:
        """The upper bounds are `scale * growth ** i` for i in 0 to buckets-1, and infinity."""
        self.name, self.description = name, description
        self._labels = labels
        self._bounds = [scale * growth**i for i in range(buckets)]
        self._lock = threading.Lock()
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Adds a value."""
        bucket = bisect.bisect_left(self._bounds, value)  # a bound belongs to its bucket
        with self._lock:
            counts = self._counts.setdefault(labels, [0] * (len(self._bounds) + 1))
            counts[bucket] += 1
            self._sums[labels] = self._sums.get(labels, 0) + value

    def samples(self) -> Iterator[Sample]:
        """Yields the cumulative buckets, the sum and the count of each combination of labels."""
        with self._lock:
            counts = {labels: list(values) for labels, values in sorted(self._counts.items())}
            sums = dict(self._sums)
        bounds = [*(f'{bound:.10g}' for bound in self._bounds), '+Inf']
        for values, in_buckets in counts.items():
            labels = dict(zip(self._labels, values, strict=True))
            total = 0
            for bound, count in zip(bounds, in_buckets, strict=True):
                total += count
                yield Sample(f'{self.name}_bucket', {**labels, 'le': bound}, total)
            yield Sample(f'{self.name}_sum', labels, sums[values])
            yield Sample(f'{self.name}_count', labels, total)


Metric = Number | Histogram
