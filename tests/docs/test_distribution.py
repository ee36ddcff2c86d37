"""The histogram that takes many values at once, held against prometheus_client's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from tie_forwarder.status.metrics import Distribution

_BOUNDS = (0.5, 1, 256, 1048588)


@given(st.lists(st.floats(min_value=-1.0, max_value=1e9) | st.sampled_from(_BOUNDS)))
def test_it_shows_what_a_histogram_shows(values: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    distribution = Distribution("size_bytes", "Sizes.", bounds=_BOUNDS, registry=ours)
    histogram = Histogram("size_bytes", "Sizes.", buckets=_BOUNDS, registry=theirs)
    distribution.observe_all(values[::2])
    distribution.observe_all(values[1::2])
    for value in (*values[::2], *values[1::2]):
        histogram.observe(value)
    for generate in (generate_latest, generate_openmetrics):
        expected = [line for line in generate(theirs).splitlines() if b"_created" not in line]
        assert generate(ours).splitlines() == expected


def test_its_names_are_taken() -> None:
    registry = CollectorRegistry()
    Distribution("size_bytes", "Sizes.", bounds=_BOUNDS, registry=registry)
    assert registry.get_sample_value("size_bytes_bucket", {"le": "+Inf"}) == 0
    with pytest.raises(ValueError, match="Duplicated"):
        Histogram("size_bytes", "Sizes.", registry=registry)
