"""A histogram that takes many values at once: counting one by one costs intake more than decoding an event.

Owns: the counts, and their form for prometheus_client, whose own Histogram takes a lock and a walk over all its bounds
for every value. Must not: know what is counted.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Distribution(Collector):
    """How often values of each size occurred. Thread-safe."""

    def __init__(self, name: str, documentation: str, *, bounds: Sequence[float], registry: CollectorRegistry) -> None:
        """`bounds` are the upper ends of the buckets, ascending; the bucket without an end comes by itself."""
        self._name = name
        self._documentation = documentation
        self._bounds = tuple(map(float, bounds))
        self._labels = (*map(floatToGoString, self._bounds), "+Inf")
        self._counts = [0] * len(self._labels)
        self._sum = 0.0
        self._lock = threading.Lock()
        registry.register(self)

    def observe_all(self, values: Iterable[float]) -> None:
        """Counts the values."""
        bounds, counts = self._bounds, self._counts
        with self._lock:
            for value in values:
                counts[bisect_left(bounds, value)] += 1
                self._sum += value

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """The metric without its values: what the registry asks for its names."""
        yield HistogramMetricFamily(self._name, self._documentation)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The metric as it is now."""
        with self._lock:
            buckets, total = list(accumulate(self._counts)), self._sum
        yield HistogramMetricFamily(
            self._name,
            self._documentation,
            buckets=list(zip(self._labels, map(float, buckets), strict=True)),
            sum_value=total,
        )
