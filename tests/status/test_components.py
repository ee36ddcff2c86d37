"""The picture shows whose fault it is: that part stands out, and its neighbours only wait."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.status.test_health import BLOCKED, NOW, TRANSIENT, WELL
from tie_forwarder.config.inspection import Certificate
from tie_forwarder.status.components import HEALTHS, PARTS, parts_of
from tie_forwarder.status.health import Compacted, Health, Trouble

DEAF = {"receiver_ready": False, "receiver_fault": "deaf", "receiver_detail": "the canary did not come back"}
AWAY = {"receiver_ready": False, "receiver_fault": "fabric_unreachable", "receiver_detail": "connection refused"}
WAITING = {"spool_events": 7, "spool_oldest_at": NOW - 60}

DAY = 86_400.0


def certificate(role: str, ends_at: float) -> Certificate:
    return Certificate(role, Path("x.crt"), ends_at)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"role": "standby"}, {"publisher": "idle"}),
        ({"role": "taking_over"}, {"publisher": "waiting"}),
        (DEAF, {"fabric": "waiting", "receiver": "fault"}),
        (AWAY, {"fabric": "fault", "receiver": "waiting"}),
        ({**AWAY, "receiver_fault": "subscription_refused"}, {"fabric": "fault", "receiver": "waiting"}),
        ({**AWAY, "starting": True}, {"fabric": "waiting", "receiver": "waiting"}),
        ({"publisher_trouble": TRANSIENT}, {"publisher": "waiting", "kafka": "attention"}),
        (
            {"publisher_trouble": BLOCKED, "publisher_unconnected_seconds": 60.0, **WAITING},
            {"spool": "waiting", "publisher": "waiting", "kafka": "fault"},
        ),
        (
            {"publisher_trouble": Trouble("blocked", "cannot_start", "no", "do"), "publisher_unconnected_seconds": 9.0},
            {"publisher": "fault", "kafka": "waiting"},
        ),
        ({"publisher_waiting_seconds": 9.0}, {"publisher": "waiting", "kafka": "attention"}),
        (WAITING, {"spool": "waiting", "publisher": "attention"}),
        ({"publisher_unconnected_seconds": 1.0}, {"kafka": "waiting"}),
        ({"compacted": Compacted(("t",), "mend")}, {"kafka": "attention"}),
        ({"certificates": (certificate("kafka_client", NOW + DAY),)}, {"kafka": "attention"}),
        (
            {"certificates": (certificate("dxl_client", NOW + DAY),), "role": "standby"},
            {"fabric": "attention", "publisher": "idle"},
        ),
        ({**AWAY, "certificates": (certificate("dxl_client", NOW - DAY),)}, {"fabric": "fault", "receiver": "waiting"}),
        ({"last_surge_at": NOW, "last_surge": "many"}, {"intake": "fault"}),
        ({"disk_error": "full"}, {"spool": "fault"}),
        ({"last_drop_at": NOW, "last_drop_reason": "spool_full"}, {"spool": "fault"}),
        ({"last_drop_at": NOW, "last_drop_reason": "receiver_lost"}, {"receiver": "fault"}),
        ({"ledger_imbalance": 1}, {"intake": "fault"}),
    ],
)
def test_a_fact_colours_the_part_that_it_is_about(changes: dict[str, object], expected: dict[str, str]) -> None:
    facts = replace(WELL, **changes)  # type: ignore[arg-type]
    found = parts_of(facts, Health(now=lambda: NOW).assess(facts).problems)
    assert tuple(part.name for part in found) == PARTS
    assert {part.name: part.health for part in found if part.health != "ok"} == expected
    assert all(part.health in HEALTHS and part.word for part in found)


@pytest.mark.parametrize(("seconds_ago", "health"), [(5.0, "attention"), (3_600.0, "ok")])
def test_dead_letters_of_late_draw_attention_to_intake(seconds_ago: float, health: str) -> None:
    found = parts_of(WELL, (), last_letter_at=NOW - seconds_ago)
    assert {part.name: part.health for part in found}["intake"] == health


@pytest.mark.parametrize(("share", "health"), [(0.3, "waiting"), (0.6, "attention")])
def test_a_spool_that_keeps_events_draws_attention_once_it_is_half_full(share: float, health: str) -> None:
    facts = replace(WELL, publisher_trouble=TRANSIENT, spool_events=7)
    found = parts_of(facts, Health(now=lambda: NOW).assess(facts).problems, spool_share=share)
    assert {part.name: part.health for part in found}["spool"] == health
