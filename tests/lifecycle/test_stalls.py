"""What stands still is replaced: a child by its parent, the whole process by whoever started it."""

from __future__ import annotations

import sys
import time

import psutil
import pytest

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.forwarder import Forwarder, Part
from tests.harness.judge import Judge
from tests.harness.mosquitto import Mosquitto
from tests.harness.server_process import is_gone
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tests.lifecycle.running import NoKafka, children_of, log_of

BROKEN_FLOW = """
import sys, time
from tie_forwarder import spool
from tie_forwarder.__main__ import main
from tie_forwarder.supervisor import supervisor
supervisor._STALLED_SECONDS = 3
def apply(self, changes):
    {fault}
spool.Spool.apply = apply
main()
"""


@pytest.mark.parametrize(
    ("fault", "event"),
    [("time.sleep(1_000)", "forwarder.stalled"), ("raise ZeroDivisionError('a bug')", "flow.failed")],
    ids=["hangs", "fails"],
)
def test_a_flow_that_hangs_or_fails_ends_the_process_so_that_it_is_started_anew(
    fault: str, event: str, mosquitto: Mosquitto, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    forwarder = make_forwarder(
        fabric=mosquitto,
        kafka=NoKafka(),  # type: ignore[arg-type]
        topics=Topics.unique(),
        program=(sys.executable, "-c", BROKEN_FLOW.replace("{fault}", fault)),
    )
    forwarder.start()
    children = children_of(forwarder)
    make_publisher(mosquitto).publish_detections(range(1))
    assert forwarder.wait(timeout=20.0) == 70
    psutil.wait_procs(children, timeout=5.0)
    assert all(map(is_gone, children))
    assert event in [line["event"] for line in log_of(forwarder)]
    assert (event == "flow.failed") or "in run_once" in forwarder.log(), "the stack of the thread that hangs"


def test_children_that_die_or_hang_are_replaced_with_a_counted_reason(
    forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher, judge: Judge
) -> None:
    forwarder.start()
    parts: tuple[Part, ...] = ("receiver", "publisher")
    for reason, hurt in (("exited", forwarder.kill_part), ("heartbeat_late", forwarder.hang)):
        before = {part: forwarder.part(part) for part in parts}
        for part in parts:
            hurt(part)
        for part in parts:
            name = f'tie_forwarder_{part}_restarts_total{{reason="{reason}"}}'
            forwarder.wait_until(lambda f, name=name: f.metrics()[name] == 1, timeout=25.0, what=name)  # type: ignore[misc]
            # A receiver that hangs is killed once its successor is subscribed.
            old = before[part]
            wait_until(lambda old=old: is_gone(old), timeout=15.0, what=f"the old {part} gone")  # type: ignore[misc]
        forwarder.wait_until(lambda f: len(children_of(f)) == 2 and f.get("/readyz")[0] == 200, timeout=15.0)
    make_publisher(mosquitto).publish_detections(range(100))
    forwarder.wait_until(lambda f: f.ledger()["published"] == 100, timeout=20.0)
    judge.verdict(range(100)).assert_exactly_once()
    assert forwarder.ledger()["imbalance"] == 0


def test_a_main_process_that_was_stopped_blames_no_child_and_counts_what_did_not_fit_meanwhile(
    lonely_forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher
) -> None:
    forwarder = lonely_forwarder
    forwarder.config["dxl"]["receiver_queue_events"] = 100
    forwarder.start()
    children = {process.pid for process in children_of(forwarder)}
    forwarder.hang("main")
    started = time.monotonic()
    make_publisher(mosquitto).publish_detections(range(5_000))
    wait_until(lambda: time.monotonic() - started > 8.0, timeout=10.0, what="longer than a heartbeat may take")
    forwarder.resume("main")
    forwarder.wait_until(lambda f: f.ledger()["received"] == 5_000, timeout=15.0, what="all counted")
    ledger, metrics = forwarder.ledger(), forwarder.metrics()
    assert ledger["dropped"] > 0
    assert ledger["in_spool"] == 5_000 - ledger["dropped"]
    assert ledger["imbalance"] == 0
    assert metrics['tie_forwarder_events_dropped_total{reason="receiver_queue_full"}'] == ledger["dropped"]
    assert forwarder.status()["reason"] == "events_dropped"
    assert {process.pid for process in children_of(forwarder)} == children
