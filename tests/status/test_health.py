"""The state is what the facts make it, the worst first, and each trouble says what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tie_forwarder.config.inspection import Certificate
from tie_forwarder.status.conditions import CONDITIONS, STATES
from tie_forwarder.status.health import Facts, Health, Trouble
from tie_forwarder.status.metrics import DROP_REASONS

NOW = 1_000_000.0
WELL = Facts(
    now=NOW,
    starting=False,
    receiver_ready=True,
    receiver_fault="",
    receiver_detail="",
    publisher_unconnected_seconds=0.0,
    publisher_waiting_seconds=0.0,
    publisher_trouble=None,
    spool_events=0,
    spool_oldest_at=None,
    disk_error="",
    last_drop_at=None,
    last_drop_reason="",
    ledger_imbalance=0,
    role="publishing",
)
DAY = 86_400.0
AWAY = {"receiver_ready": False, "receiver_fault": "fabric_unreachable"}
BLOCKED = Trouble("blocked", "authentication", "the password is wrong", "mend the password")
TRANSIENT = Trouble("transient", "connection", "nobody answers", "see whether the brokers run")


def certificate(role: str, seconds_left: float) -> Certificate:
    return Certificate(role, Path("client.crt"), NOW + seconds_left)


def assessed(**changes: object) -> tuple[str, str]:
    found = Health(now=lambda: NOW).assess(replace(WELL, **changes))  # type: ignore[arg-type]
    assert found.state in STATES
    assert all(problem.reason in CONDITIONS[problem.state] and problem.remedy for problem in found.problems)
    return found.state, found.reason


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("ok", "ok")),
        ({"role": "standby"}, ("standby", "standby")),
        ({"spool_events": 500, "spool_oldest_at": NOW - 5}, ("ok", "ok")),
        ({"spool_events": 500, "spool_oldest_at": NOW - 60}, ("buffering", "behind")),
        ({"spool_events": 500, "spool_oldest_at": NOW - 60, "role": "standby"}, ("standby", "standby")),
        ({"role": "standby", "spool_oldest_at": NOW - 3600, "spool_unmoved_seconds": 59.0}, ("standby", "standby")),
        ({"role": "standby", "spool_oldest_at": NOW, "spool_unmoved_seconds": 61.0}, ("buffering", "behind")),
        ({"withheld_topics": ("/topic",), "role": "standby"}, ("degraded", "events_withheld")),
        ({"withheld_topics": ("/topic",), "receiver_ready": False}, ("degraded", "fabric_unreachable")),
        ({"publisher_unconnected_seconds": 9.0}, ("ok", "ok")),
        ({"publisher_unconnected_seconds": 11.0}, ("buffering", "connecting")),
        ({"publisher_waiting_seconds": 2.0}, ("ok", "ok")),
        ({"publisher_waiting_seconds": 4.0}, ("buffering", "kafka_slow")),
        ({"publisher_trouble": TRANSIENT}, ("buffering", "connection")),
        ({"publisher_trouble": BLOCKED}, ("blocked", "authentication")),
        ({"receiver_ready": False, "starting": True}, ("degraded", "starting")),
        ({"receiver_ready": False}, ("degraded", "fabric_unreachable")),
        ({"receiver_ready": False, "receiver_fault": "deaf"}, ("degraded", "deaf")),
        ({"receiver_ready": False, "receiver_fault": "subscription_refused"}, ("degraded", "subscription_refused")),
        ({"receiver_not_replaced": "refused"}, ("ok", "receiver_not_replaced")),
        ({"receiver_not_replaced": "refused", **AWAY}, ("degraded", "fabric_unreachable")),
        ({"disk_error": "disk I/O error"}, ("degraded", "spool_not_writable")),
        ({"spool_displaced": "the file was deleted"}, ("degraded", "spool_displaced")),
        ({"last_rescue_at": NOW - 290, "last_rescue": "in a new file"}, ("degraded", "spool_displaced")),
        ({"last_rescue_at": NOW - 310, "last_rescue": "in a new file"}, ("ok", "ok")),
        ({"last_drop_at": NOW - 10, "last_drop_reason": "spool_full"}, ("degraded", "events_dropped")),
        ({"last_drop_at": NOW - 70, "last_drop_reason": "spool_full"}, ("ok", "ok")),
        ({"ledger_imbalance": -1}, ("degraded", "ledger_imbalance")),
        ({"last_surge_at": NOW - 10, "last_surge": "30 of 40"}, ("degraded", "dead_letters")),
        ({"last_surge_at": NOW - 70, "last_surge": "30 of 40"}, ("ok", "ok")),
        ({"publisher_trouble": Trouble("transient", "no_such_code", "?", "")}, ("buffering", "unknown")),
        ({"publisher_trouble": Trouble("poison", "invalid_record", "?", "")}, ("buffering", "unknown")),
        ({"publisher_trouble": Trouble("fenced", "fenced", "?", "")}, ("ok", "ok")),
        ({"certificates": (certificate("dxl_client", 8 * DAY),)}, ("ok", "ok")),
        ({"certificates": (certificate("dxl_client", 6 * DAY),)}, ("ok", "certificate_ends_soon")),
        (
            {"certificates": (certificate("kafka_client", 6 * DAY),), "role": "standby"},
            ("standby", "certificate_ends_soon"),
        ),
        ({"certificates": (certificate("dxl_client", -60.0),), **AWAY}, ("degraded", "certificate_expired")),
        ({"certificates": (certificate("dxl_brokers", -60.0),), **AWAY}, ("degraded", "certificate_expired")),
        ({"certificates": (certificate("kafka_client", -60.0),), **AWAY}, ("degraded", "fabric_unreachable")),
    ],
)
def test_a_fact_makes_a_state(changes: dict[str, object], expected: tuple[str, str]) -> None:
    assert assessed(**changes) == expected


def test_the_worst_comes_first_and_nothing_is_hidden() -> None:
    found = Health(now=lambda: NOW).assess(
        replace(WELL, publisher_trouble=BLOCKED, receiver_detail="no", **AWAY)  # type: ignore[arg-type]
    )
    assert (found.state, found.reason) == ("degraded", "fabric_unreachable")
    assert [problem.reason for problem in found.problems] == ["fabric_unreachable", "authentication"]
    assert [problem.detail for problem in found.problems] == ["no", "the password is wrong"]


def test_the_time_is_that_of_the_change_of_state_or_reason() -> None:
    health = Health(now=lambda: NOW)
    assert health.assess(WELL).since == NOW
    assert health.assess(replace(WELL, now=NOW + 10)).since == NOW
    buffering = replace(WELL, publisher_trouble=TRANSIENT)
    assert health.assess(replace(buffering, now=NOW + 20)).since == NOW + 20
    assert health.assess(replace(buffering, now=NOW + 30)).since == NOW + 20
    assert health.assess(replace(WELL, now=NOW + 40)).since == NOW + 40


def test_every_loss_says_what_to_do() -> None:
    for reason in DROP_REASONS:
        found = Health(now=lambda: NOW).assess(replace(WELL, last_drop_at=NOW, last_drop_reason=reason))
        assert found.problems[0].detail == reason
        assert found.remedy, reason


def test_deafness_is_told_from_a_canary_that_is_blocked() -> None:
    deaf = replace(WELL, receiver_ready=False, receiver_fault="deaf", receiver_detail="no canary for 16 s")
    both = Health(now=lambda: NOW).assess(deaf).problems[0]
    assert "restart the DXL broker" in both.remedy
    assert "/tie-forwarder/canary/#" in both.remedy
    canary = Health(now=lambda: NOW).assess(replace(deaf, only_events_come=True)).problems[0]
    assert canary.detail == "no canary for 16 s; events have come, so its topic is blocked"
    assert "restart" not in canary.remedy
    assert "/tie-forwarder/canary/#" in canary.remedy
