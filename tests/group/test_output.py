"""What happens to the output topics while a group writes to them: poison, new partitions, retention, deletion."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, TopicPartition

from tests.groups.member import Member, wake
from tests.groups.stage import Stage
from tests.groups.writers import PlainWriter, TransactionalWriter
from tests.harness.detections import detection, number_of
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tie_forwarder.demo.certificates import Authority

RATE = 100.0
LARGEST = 4_000


@pytest.fixture
def stage(kafka: KafkaCluster, authority: Authority, tmp_path: Path) -> Iterator[Stage]:
    """Two members, none of them started."""
    with Stage(directory=tmp_path, authority=authority, kafka=kafka, rate=RATE) as stage:
        yield stage


@pytest.fixture
def playing(stage: Stage) -> Stage:
    """Both members started, under load."""
    stage.start()
    stage.load.start()
    stage.wait_until_well()
    return stage


def too_large() -> bytes:
    """A valid detection that is larger than the topic allows."""
    return detection(0, agent=0).replace(b'"SAMPLE-0.EXE"', b'"' + b"x" * 2 * LARGEST + b'"')


def end_by(stage: Stage, end: Callable[[Member], None]) -> None:
    """The publishing member loses its seat, and comes back."""
    member = stage.publishing()
    end(member)
    stage.wait_for_progress()
    if not member.alive:
        member.start()
    stage.wait_until_well()


def test_a_record_that_kafka_refuses_becomes_one_dead_letter_of_the_group(playing: Stage) -> None:
    playing.kafka.administration.set_topic_config(playing.topics.detection, max_message_bytes=LARGEST)
    for _ in range(3):
        playing.load.give(too_large())
    playing.wait_for_progress()
    verdict = playing.finish()
    verdict.assert_exactly_once(dead_letters=3, in_order=False)
    assert {letter.headers["reason"] for letter in verdict.dead_letters} == {"refused_too_large"}


@pytest.mark.long
def test_a_refused_record_becomes_one_dead_letter_although_the_member_that_met_it_dies(playing: Stage) -> None:
    playing.kafka.administration.set_topic_config(playing.topics.detection, max_message_bytes=LARGEST)
    refused = 'tie_forwarder_publish_errors_total{class="poison",code="too_large"}'
    moments: tuple[Callable[[Member, int], bool], ...] = (
        lambda _, __: True,  # before it comes to the publisher
        lambda member, _: member.metrics()[refused] > 0,  # when the dead letter is in the spool, or a little later
        lambda _, number: letter_stands(playing, number),  # when no other member may write it again
    )
    for moment in moments:
        member, number = playing.publishing(), playing.load.give(too_large())
        wait_until(lambda m=moment, a=(member, number): m(*a), timeout=10.0, what="the moment")  # type: ignore[misc]
        end_by(playing, Member.kill_all)
    playing.finish().assert_exactly_once(dead_letters=len(moments), in_order=False)


def test_partitions_that_are_added_are_read_and_written_by_all_members(playing: Stage) -> None:
    topic = playing.topics.detection
    playing.kafka.administration.add_partitions(topic, total=6)
    end_by(playing, lambda member: member.kill_part("publisher"))
    wait_until(
        lambda: all(len(member.status()["group"]["tail"][topic]) == 6 for member in playing.playing),
        timeout=20.0,
        what="six partitions in the tails",
    )
    end_by(playing, Member.kill_all)
    verdict = playing.finish()
    verdict.assert_exactly_once(in_order=False)
    assert {record.partition for record in playing.judge().read(topic)} == set(range(6))


def test_a_transaction_of_somebody_else_that_holds_a_takeover_back_is_named_and_waited_for(stage: Stage) -> None:
    with TransactionalWriter(
        bootstrap_servers=stage.kafka.internal_servers, topic=stage.topics.detection, held_seconds=60.0
    ) as writer:
        writer.wait_until_open()
        stage.start("a")
        stage.load.start()
        member = stage.members["a"]
        member.wait_until(
            lambda m: (m.status()["state"], m.status()["reason"]) == ("buffering", "open_transaction"),
            timeout=30.0,
            what="the open transaction as the reason",
        )
        assert member.role == "taking_over"
        assert f"{stage.topics.detection}-0 from offset 0" in json.dumps(member.status())
    stage.wait_until_well()
    assert member.status()["state"] == "ok"
    stage.finish().assert_exactly_once(in_order=False)


def test_the_beginning_of_the_output_is_gone_and_members_start_and_take_over_all_the_same(playing: Stage) -> None:
    playing.pause_load()
    playing.settle()
    standby = playing.standbys()[0]
    stopped = standby.suspend("publisher")
    with PlainWriter(bootstrap_servers=playing.kafka.internal_servers, topic=playing.topics.detection) as writer:
        writer.wait_until_written(60)
    delete_all_records(playing.kafka, playing.topics.detection)
    wake(stopped)
    playing.load.rate = RATE
    playing.wait_until_well()
    end_by(playing, Member.kill_all)
    playing.pause_load()
    playing.settle()
    delete_all_records(playing.kafka, playing.topics.detection)
    playing.load.rate = RATE
    end_by(playing, Member.kill_all)
    playing.load.finish()
    playing.settle()
    assert playing.follower.has_seen(playing.load.numbers)
    assert not playing.follower.repeated


def test_a_topic_that_is_deleted_and_made_anew_gets_each_event_that_comes_afterwards_once(playing: Stage) -> None:
    topic, administration = playing.topics.detection, playing.kafka.administration
    administration.delete_topic(topic)
    wait_until(
        lambda: (
            playing.members["a"].status()["state"] == "blocked" or playing.members["b"].status()["state"] == "blocked"
        ),
        timeout=60.0,
        what="a member that is blocked",
    )
    administration.create_topic(topic, partitions=3)
    first = len(playing.load.numbers)
    wait_for_one_more(playing)
    publishing = playing.publishing()
    publishing.kill_all()
    wait_for_one_more(playing)
    publishing.start()
    numbers = playing.load.finish()
    for member in playing.playing:
        member.wait_until_drained(timeout=60.0)
        assert member.ledger()["imbalance"] == 0
    verdict = playing.judge().verdict(numbers[first:])
    assert not verdict.lost, verdict
    assert not verdict.duplicated, verdict


def test_a_compacted_output_topic_is_warned_of_in_the_log_and_in_the_status(
    kafka: KafkaCluster, authority: Authority, tmp_path: Path
) -> None:
    topics = Topics.unique("compacted").create(kafka.administration, configs={"cleanup.policy": "compact"})
    with Stage(directory=tmp_path, authority=authority, kafka=kafka, names=("a",), topics=topics) as stage:
        stage.start()
        member = stage.members["a"]
        member.wait_until(lambda f: bool(f.status()["problems"]), timeout=20.0, what="a problem")
        problem = member.status()["problems"][0]
        assert problem["reason"] == "output_compacted"
        assert topics.detection in problem["detail"]
        assert "cleanup.policy=delete" in problem["remedy"]
        member.wait_until(lambda f: f.status()["state"] == "ok", timeout=20.0, what="that it publishes all the same")
        assert {line["topic"] for line in member.logged("publisher.output.compacted")} >= {topics.detection}
        kafka.administration.set_topic_config(topics.detection, cleanup_policy="delete")
        kafka.administration.set_topic_config(topics.dead_letter, cleanup_policy="delete")
        member.kill_part("publisher")
        member.wait_until(lambda f: not f.status()["problems"], timeout=20.0, what="no problem")


def wait_for_one_more(stage: Stage) -> None:
    """Blocks until an event stands in the output, by a reader of its own: the follower may still look at the old."""
    (number,) = stage.load.burst(1)
    topic = stage.topics.detection
    wait_until(
        lambda: any(number_of(record.event_id) == number for record in stage.judge().read(topic)),
        timeout=60.0,
        what=lambda: f"progress\n{stage.describe()}",
    )


def letter_stands(stage: Stage, number: int) -> bool:
    """Whether this number stands among the dead letters."""
    return any(number_of(letter.event_id) == number for letter in stage.judge().read(stage.topics.dead_letter))


def delete_all_records(kafka: KafkaCluster, topic: str) -> None:
    """What retention does in the end."""
    admin: Any = KafkaAdminClient(bootstrap_servers=kafka.internal_servers)
    try:
        partitions = [TopicPartition(topic, number) for number in range(kafka.administration.partitions(topic))]
        admin.delete_records(dict.fromkeys(partitions, -1))
    finally:
        admin.close()
