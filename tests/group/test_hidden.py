"""What is committed and cannot be seen: transactions that hang, and those of others that hide what stands behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MakeKafka
from tests.groups.stage import Stage
from tests.groups.writers import TransactionalWriter, leave_hanging
from tests.harness.detections import message_id
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.waiting import wait_until
from tests.lifecycle.running import log_of
from tie_forwarder.demo.certificates import Authority

RATE = 100.0


@pytest.fixture
def credulous_kafka(make_kafka: MakeKafka) -> KafkaCluster:
    """A node that takes records into transactions that its coordinator does not know."""
    return make_kafka(properties={"transaction.partition.verification.enable": "false"})


@pytest.fixture
def stage(credulous_kafka: KafkaCluster, authority: Authority, tmp_path: Path) -> Iterator[Stage]:
    """Two members, none of them started."""
    with Stage(directory=tmp_path, authority=authority, kafka=credulous_kafka, rate=RATE) as stage:
        yield stage


def test_a_transaction_that_hangs_by_the_groups_id_is_committed_and_its_events_stand_once(stage: Stage) -> None:
    group = stage.members["a"].config["group"]["name"]
    hidden = [message_id(number).strip("{}") for number in (3, 4, 5, 6)]
    leave_hanging(kafka=stage.kafka, topic=stage.topics.detection, transactional_id=group, event_ids=hidden)
    stage.start()
    stage.load.start()
    stage.wait_until_well()
    verdict = stage.finish()
    assert set(stage.load.numbers) >= {3, 4, 5, 6}
    verdict.assert_exactly_once(in_order=False)
    for member in stage.members.values():
        assert member.ledger()["settled"] >= len(hidden)
    told = {line["text"] for member in stage.playing for line in log_of(member) if line["event"] == "role.changed"}
    assert told >= {"takes over: it has just started, and nobody else was seen to publish last", "publishes"}


def test_rows_leave_the_spool_once_readers_see_their_records_and_what_hides_them_is_named(stage: Stage) -> None:
    stage.start("a")
    stage.load.start()
    stage.wait_until_well()
    member = stage.members["a"]
    with TransactionalWriter(
        bootstrap_servers=stage.kafka.internal_servers, topic=stage.topics.detection, held_seconds=60.0
    ) as writer:
        writer.wait_until_open()
        before = member.ledger()["published"]
        member.wait_until(
            lambda m: (m.status()["state"], m.status()["reason"]) == ("buffering", "open_transaction"),
            timeout=30.0,
            what="the open transaction as the reason",
        )
        wait_until(lambda: member.in_spool > 3 * RATE, timeout=20.0, what="hidden events in the spool")
        member.kill_part("publisher")  # the next one must not publish again what it cannot see
        member.wait_until(lambda m: m.status()["group"]["role"] == "taking_over", timeout=20.0, what="its successor")
        assert member.ledger()["published"] - before < 2 * RATE
    stage.wait_until_well()
    assert member.status()["state"] == "ok"
    stage.finish().assert_exactly_once(in_order=False)


def test_rows_that_were_hidden_when_their_topic_was_deleted_are_published_into_the_new_one(stage: Stage) -> None:
    stage.start("a")
    stage.load.start()
    stage.wait_until_well()
    stage.pause_load()
    stage.settle()
    member, topic = stage.members["a"], stage.topics.detection
    with TransactionalWriter(bootstrap_servers=stage.kafka.internal_servers, topic=topic, held_seconds=60.0) as writer:
        writer.wait_until_open()
        before = len(stage.load.numbers)
        stage.load.rate = RATE
        wait_until(lambda: member.in_spool > RATE, timeout=20.0, what="hidden events in the spool")
        stage.pause_load()
        stage.kafka.administration.delete_topic(topic)
        stage.kafka.administration.create_topic(topic, partitions=3)
    member.wait_until_drained(timeout=60.0)
    found = stage.judge().read(topic)
    hidden = {message_id(number).strip("{}") for number in stage.load.numbers[before:]}
    assert hidden <= {record.event_id for record in found}
    assert member.ledger()["imbalance"] == 0
