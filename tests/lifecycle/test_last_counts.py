"""What the receiver still holds when the daemon ends is counted: received, and dropped where it could not be kept."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.conftest import MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.mosquitto import Mosquitto
from tests.harness.waiting import wait_until
from tests.lifecycle.running import log_of

MANY = 20_000
"""More than fits into the pipe."""


def fill_receiver(forwarder: Forwarder, fabric: Mosquitto, make_publisher: MakePublisher) -> None:
    """Stops main, and lets the receiver take more than main's end of the pipe has room for."""
    forwarder.hang("main")
    make_publisher(fabric).publish_detections(range(MANY))

    wait_until(lambda: in_flight(fabric.port) == 0, timeout=60.0, what="everything taken from the fabric")


def in_flight(port: int) -> int:
    """How many bytes the system holds for the connections of this port: sent and not yet read."""
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, queues = line.split()[:5]
        if f"{port:04X}" in (local.partition(":")[2], remote.partition(":")[2]) and state == "01":
            count += sum(int(queue, 16) for queue in queues.split(":"))
    return count


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGTERM, signal.SIGINT)], ids=["drain", "at_once"])
def test_all_that_the_receiver_holds_at_the_end_is_counted(
    signals: tuple[signal.Signals, ...],
    lonely_forwarder: Forwarder,
    mosquitto: Mosquitto,
    make_publisher: MakePublisher,
) -> None:
    forwarder = lonely_forwarder
    forwarder.config["shutdown"] = {"drain_seconds": 0}
    forwarder.start()
    fill_receiver(forwarder, mosquitto, make_publisher)
    for number in signals:
        forwarder.signal(number)
    forwarder.resume("main")
    assert forwarder.wait(timeout=30.0) == 0
    last = log_of(forwarder)[-1]
    assert last["event"] == "forwarder.stopped"
    assert last["received"] == MANY == last["in_spool"] + last["dropped"]
    assert last["imbalance"] == 0
