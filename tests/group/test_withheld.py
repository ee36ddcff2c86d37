"""A member whose right to receive was revoked: its canary comes back, and of the events it receives none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.groups.member import Member
from tests.groups.stage import Stage
from tests.harness.kafka.cluster import KafkaCluster
from tie_forwarder.demo.certificates import Authority
from tie_forwarder.events.message import TOPICS

T = 3.0
RATE = 20.0
WITHHELD_SECONDS = 5 * 6 * T
"""The longest time until a member notices: it must have been ready for long enough first."""


@pytest.fixture
def stage(kafka: KafkaCluster, authority: Authority, tmp_path: Path) -> Iterator[Stage]:
    """Two members, none of them started."""
    with Stage(directory=tmp_path, authority=authority, kafka=kafka, rate=RATE, takeover_after_seconds=T) as stage:
        yield stage


def problems(member: Member) -> list[str]:
    return [problem["reason"] for problem in member.status()["problems"]]


def test_a_publishing_member_that_receives_nothing_stands_by_and_says_what_it_is_missing(stage: Stage) -> None:
    deprived, other = stage.members["a"], stage.members["b"]
    stage.start("a")
    stage.load.start()
    stage.wait_for_progress()
    stage.members["b"].start()
    stage.wait_until_well()
    assert stage.publishing() is deprived
    deprived.fabric.withhold(TOPICS["detection"])
    other.wait_until(lambda _: other.role == "publishing", timeout=30.0, what="the other member publishes")
    deprived.wait_until(lambda _: deprived.role == "standby", timeout=15.0, what="it notices that another one does")
    assert not deprived.logged("child.replaced"), "it was not fenced, it has looked"
    deprived.wait_until(
        lambda f: f.status()["state"] == "degraded", timeout=WITHHELD_SECONDS, what="it says what it is missing"
    )
    status = deprived.status()
    assert status["reason"] == "events_withheld"
    assert TOPICS["detection"] in status["problems"][0]["detail"]
    assert "topic authorization" in status["remedy"]
    code, why = deprived.get("/readyz")
    assert (code, TOPICS["detection"] in why) == (503, True)
    assert deprived.get("/healthz")[0] == 200
    assert problems(other) == []
    deprived.fabric.withhold()
    deprived.wait_until(lambda f: f.status()["state"] == "standby", timeout=5.0, what="it is well again")
    assert deprived.get("/readyz")[0] == 200
    stage.finish().assert_exactly_once(in_order=False)
