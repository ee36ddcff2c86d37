"""Wrong clocks and brokers' timestamps: neither delays a takeover, nor causes one, nor doubles an event."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.groups.stage import Stage
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.topics import Topics
from tie_forwarder.demo.certificates import Authority

HOURS = 2 * 3600.0
T = 3.0
PATIENT_T = 8.0
"""Longer than a transaction takes with the quota."""
RATE = 50.0
SLOW = {"producer": {"client_id": "slow-group"}}
SLOW_BYTES_PER_SECOND = 150_000.0


@pytest.fixture
def stage(kafka: KafkaCluster, authority: Authority, tmp_path: Path) -> Iterator[Stage]:
    """Two members, none of them started."""
    with Stage(directory=tmp_path, authority=authority, kafka=kafka, rate=RATE, takeover_after_seconds=T) as stage:
        yield stage


def test_events_that_were_received_with_a_clock_ahead_are_taken_over_as_soon_as_others(stage: Stage) -> None:
    standby = stage.members["b"]
    standby.step_clock(0.0)
    stage.start("a")
    stage.load.start()
    stage.wait_for_progress()
    stage.members["b"].start()
    stage.wait_until_well()
    publishing = stage.publishing()
    assert publishing is stage.members["a"]
    stage.pause_load()
    stage.settle()
    publishing.kill_all()
    standby.step_clock(HOURS)
    stage.load.burst(3)
    standby.wait_until(lambda _: standby.in_spool == 3, timeout=10.0, what="events with a wrong time")
    standby.step_clock(0.0)
    standby.wait_until(
        lambda f: f.status()["group"]["takeovers"] == {"silent": 1}, timeout=1.5 * T + 5.0, what="it takes over"
    )
    publishing.start()
    stage.finish().assert_exactly_once(in_order=False)


def test_a_member_that_starts_with_a_clock_ahead_publishes_nothing_again(stage: Stage) -> None:
    publishing, late = stage.members["a"], stage.members["b"]
    stage.start("a")
    stage.load.start()
    stage.wait_until_well()
    late.feed.route = lambda _: 4.0  # what it receives after its start is in the output by then
    stage.load.rate = 4 * RATE
    stage.wait_for_progress()
    late.step_clock(HOURS)
    late.start()
    stage.wait_until_well()
    stage.pause_load()
    stage.settle()
    assert late.role == "standby"
    late.step_clock(0.0)
    publishing.terminate()
    stage.load.rate = RATE
    stage.wait_for_progress()
    stage.finish().assert_exactly_once(in_order=False)


def test_a_backlog_in_topics_with_log_append_time_makes_no_standby_believe_that_it_was_passed_by(
    kafka: KafkaCluster, authority: Authority, tmp_path: Path
) -> None:
    topics = Topics.unique("append").create(kafka.administration, configs={"message.timestamp.type": "LogAppendTime"})
    kafka.administration.set_quota(client_id="slow-group", producer_byte_rate=SLOW_BYTES_PER_SECOND)
    try:
        with Stage(
            directory=tmp_path, authority=authority, kafka=kafka, rate=RATE, topics=topics,
            takeover_after_seconds=PATIENT_T, options={"kafka": SLOW},
        ) as stage:  # fmt: skip
            stage.start("a")
            stage.load.start()
            stage.wait_for_progress()
            stage.members["b"].start()
            stage.wait_until_well()
            assert stage.publishing() is stage.members["a"]
            began_at = time.monotonic()
            stage.load.burst(10_000)
            stage.members["b"].wait_until(lambda f: f.ledger()["in_spool"] > 1_000, timeout=20.0, what="a backlog")
            verdict = stage.finish()
            assert time.monotonic() - began_at > 3 * PATIENT_T + 5.0, (
                "the backlog was gone before anybody could be passed by"
            )
            assert stage.members["b"].status()["group"]["takeovers"] == {}
            verdict.assert_exactly_once(in_order=False)
    finally:
        kafka.administration.set_quota(client_id="slow-group", producer_byte_rate=None)
