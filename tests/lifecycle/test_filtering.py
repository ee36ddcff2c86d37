"""A running forwarder filters, takes up changed lists on SIGHUP, and keeps the old ones where the new are none."""

from __future__ import annotations

from hashlib import sha512

from tests.conftest import MakePublisher
from tests.harness.detections import agent_guid
from tests.harness.forwarder import Forwarder
from tests.harness.mosquitto import Mosquitto
from tests.lifecycle.running import reload


def sha256_of(number: int) -> str:
    """As `tests.harness.detections` makes it."""
    return sha512(number.to_bytes(8, "big")).digest()[32:].hex()


def accounts(forwarder: Forwarder, received: int) -> tuple[int, int, int]:
    """How many were filtered, are in the spool, and are unaccounted for, once so many have come."""
    forwarder.wait_until(lambda f: f.ledger()["received"] == received, timeout=10.0, what=f"{received} received")
    ledger = forwarder.ledger()
    return ledger["filtered"], ledger["in_spool"], ledger["imbalance"]


def test_lists_are_in_force_from_the_start_and_anew_after_sighup(
    lonely_forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher
) -> None:
    forwarder = lonely_forwarder
    forwarder.directory.mkdir(parents=True, exist_ok=True)
    hashes, agents = forwarder.directory / "hashes", forwarder.directory / "agents"
    hashes.write_text(f"{sha256_of(3)}  # known to us\n")
    agents.write_text(agent_guid(7))
    forwarder.config["filters"] = {"hashes_file": "hashes", "agents_file": "agents"}
    forwarder.start()
    publisher = make_publisher(mosquitto)
    publisher.publish_detections(range(10))
    assert accounts(forwarder, 10) == (2, 8, 0)

    hashes.write_text("".join(f"{sha256_of(number)}\n" for number in range(10, 15)))
    receiver = forwarder.part("receiver").pid
    done = reload(forwarder)
    assert (done["event"], done["new_processes"]) == ("reload.done", [])
    publisher.publish_detections(range(10, 20))
    assert accounts(forwarder, 20) == (7, 13, 0)

    agents.unlink()
    refused = reload(forwarder)
    assert refused["event"] == "reload.refused"
    assert "filters.agents_file" in refused["faults"][0]
    publisher.publish_detections([57])
    assert accounts(forwarder, 21) == (8, 13, 0)
    assert forwarder.part("receiver").pid == receiver
    metrics = forwarder.metrics()
    assert metrics['tie_forwarder_events_filtered_total{filter="hash"}'] == 6
    assert metrics['tie_forwarder_events_filtered_total{filter="agent"}'] == 2
    assert metrics["tie_forwarder_ledger_imbalance"] == 0
