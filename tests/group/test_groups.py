"""Groups on real servers: members and Kafka are killed and hung under load, and each event stands once.

The short form of the campaign `python -m tests.groups`, which has every kind of fault.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.groups import faults_fabric, faults_kafka, faults_processes, faults_starts
from tests.groups.faults import Play
from tests.groups.stage import TAKEOVER_SECONDS, Stage
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.waiting import wait_until
from tie_forwarder.demo.certificates import Authority

SEED = 20_260_101
RATE = 150.0


@pytest.fixture(scope="module")
def group_kafka(provisioned: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """A node for the tests of this module, to kill and to hang."""
    with KafkaCluster(directory=tmp_path_factory.mktemp("group-kafka")) as cluster:
        yield cluster


@pytest.fixture
def stage(
    request: pytest.FixtureRequest, group_kafka: KafkaCluster, authority: Authority, tmp_path: Path
) -> Iterator[Stage]:
    """Two members and a spare one, none of them started."""
    names: Sequence[str] = getattr(request, "param", ("a", "b", "c"))
    with Stage(directory=tmp_path, authority=authority, kafka=group_kafka, names=names, rate=RATE) as stage:
        yield stage


def assert_once(stage: Stage) -> None:
    """Each detection stands once; the ledgers balance and the spools are empty, which `finish` sees to."""
    stage.finish().assert_exactly_once(in_order=False)


def strike(stage: Stage, *faults: object) -> None:
    """One fault after the other, each as soon as there was progress after the one before."""
    play = Play(stage, random.Random(SEED))
    stage.load.start()
    stage.wait_until_well()
    for one in faults:
        one(play)  # type: ignore[operator]
        stage.wait_for_progress()


def test_processes_are_killed_and_stopped_under_load_and_each_event_stands_once(stage: Stage) -> None:
    stage.start("a", "b")
    strike(
        stage,
        faults_processes.kill_publishing,
        faults_processes.kill_publisher_process,
        faults_processes.kill_receiver,
        faults_processes.stop_publisher_process,
        faults_processes.stop_main,
        faults_processes.upgrade_all,
    )
    assert_once(stage)


def test_kafka_is_killed_and_hung_and_a_member_is_deaf_and_each_event_stands_once(stage: Stage) -> None:
    stage.start("a", "b")
    strike(
        stage,
        faults_kafka.kill_kafka,
        faults_kafka.leave_a_transaction_open_for_good,
        faults_kafka.hang_kafka,
        faults_fabric.deafen_publishing,
    )
    assert_once(stage)


def test_three_members_started_at_the_same_instant_with_backlogs_publish_each_event_once(stage: Stage) -> None:
    stage.start("a", "b")
    strike(stage, faults_starts.start_three_at_once, faults_starts.join)
    assert_once(stage)


@pytest.mark.quiet
@pytest.mark.parametrize("stage", [("a", "b")], indirect=True)
def test_another_member_publishes_within_the_takeover_time_and_three_seconds(stage: Stage) -> None:
    # One after the other: of two that start together one is fenced, and is more patient for a while.
    stage.start("a")
    stage.load.start()
    stage.wait_for_progress()
    stage.members["b"].start()
    stage.wait_until_well()
    for _ in range(2):
        member = stage.publishing()
        killed_at = time.monotonic()
        member.kill_all()
        stage.wait_for_progress()
        silence = stage.follower.longest_silence(killed_at, time.monotonic())
        print(f"takeover after {silence:.1f} s")
        assert silence <= 1.5 * TAKEOVER_SECONDS + 3.0
        member.start()
        stage.wait_until_well()
    assert_once(stage)


@pytest.mark.quiet
@pytest.mark.parametrize("stage", [("a", "b")], indirect=True)
def test_a_publishing_member_that_ends_in_order_hands_over_without_the_takeover_time(stage: Stage) -> None:
    stage.start()
    stage.load.start()
    stage.wait_until_well()
    member, successor = stage.publishing(), stage.standbys()[0]
    member.terminate()
    gone_at = time.monotonic()
    stage.wait_for_progress()
    silence = stage.follower.longest_silence(gone_at - 0.5, time.monotonic())
    print(f"handed over after {silence:.1f} s")
    successor.wait_until(lambda m: m.status()["group"]["reason"] == "vacant", timeout=3.0)  # told once a second
    assert silence < TAKEOVER_SECONDS
    assert_once(stage)


@pytest.mark.quiet
@pytest.mark.parametrize("stage", [("a",)], indirect=True)
def test_a_lone_member_publishes_again_two_seconds_after_its_restart(stage: Stage) -> None:
    stage.start()
    stage.load.start()
    stage.wait_until_well()
    for end in (lambda: stage.members["a"].terminate(), lambda: stage.members["a"].kill_all()):
        stage.load.rate = 0.0
        numbers = list(stage.load.numbers)
        wait_until(lambda numbers=numbers: stage.follower.has_seen(numbers), timeout=20.0, what="all in the output")  # type: ignore[misc]
        end()
        started = time.monotonic()
        stage.members["a"].start()
        ready = time.monotonic() - started
        stage.load.rate = RATE
        first = stage.wait_for_progress()
        print(f"ready after {ready:.2f} s, first commit after {time.monotonic() - started:.2f} s ({first:.2f} s)")
        assert time.monotonic() - started <= 2.0
    assert_once(stage)
