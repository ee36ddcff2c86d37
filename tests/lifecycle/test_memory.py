"""Memory is bounded, whatever the outage."""

from __future__ import annotations

import pytest

from tests.conftest import MakePublisher
from tests.harness.forwarder import Forwarder, Part
from tests.harness.mosquitto import Mosquitto

MOST_MEGABYTES = 140
PARTS: tuple[Part, ...] = ("main", "receiver", "publisher")


@pytest.mark.parametrize("events", [50_000, pytest.param(200_000, marks=pytest.mark.long)])
def test_resident_memory_stays_bounded_while_events_are_spooled_because_kafka_is_down(
    events: int, lonely_forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher
) -> None:
    forwarder = lonely_forwarder
    forwarder.start()
    largest: dict[Part, float] = {}
    with make_publisher(mosquitto) as publisher:
        for first in range(0, events, 10_000):
            publisher.publish_detections(range(first, first + 10_000))
            received = first + 10_000
            forwarder.wait_until(lambda f, received=received: f.ledger()["received"] == received, timeout=60.0)  # type: ignore[misc]
            sizes = {part: forwarder.part(part).memory_info().rss / 1e6 for part in PARTS}
            if sum(sizes.values()) > sum(largest.values()):
                largest = sizes
    print(f"resident at most while {events} events were spooled: {largest}")
    assert sum(largest.values()) <= MOST_MEGABYTES, largest
    assert forwarder.ledger()["in_spool"] == events
    assert forwarder.ledger()["imbalance"] == 0
