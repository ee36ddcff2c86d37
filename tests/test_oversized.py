"""Records that a topic is too small for become dead letters without holding anything up: on a real Kafka."""

from __future__ import annotations

import json
import random
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient, TopicPartition
from kafka.record.memory_records import MemoryRecordsBuilder

from tests.conftest import MakeForwarder, MakePublisher
from tests.deliveries import DELIVERIES, Contender, detections, fill, side_by_side, start
from tests.harness.clock import Clock
from tests.harness.detections import detection, number_of
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.properties import Security
from tests.harness.load import FabricPublisher
from tests.harness.mosquitto import Mosquitto
from tie_forwarder.publisher.limits import Limits
from tie_forwarder.publisher.settings import PRODUCER
from tie_forwarder.publisher.topic_settings import TopicSettings
from tie_forwarder.records.size import batch_bytes

LIMIT, LARGE, EVENTS = 500_000, 900_000, 1_000
OVERSIZED = range(100, 160)
USER, PASSWORD = "forwarder", "right-password-9317"


def large(number: int, size: int = LARGE, *, compressible: bool = False) -> bytes:
    fields = json.loads(detection(number, agent=number % 50))
    noise = b64encode(random.Random(number).randbytes(size * 3 // 4)).decode()
    return json.dumps({**fields, "note": "x" * size if compressible else noise}).encode()


def with_large_ones(numbers: Iterable[int] = OVERSIZED, **how: Any) -> dict[int, bytes]:
    return detections(range(EVENTS)) | {number: large(number, **how) for number in numbers}


@pytest.fixture(scope="module")
def locked(provisioned: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Lets nobody do what was not granted."""
    with KafkaCluster(
        directory=tmp_path_factory.mktemp("locked"),
        security=Security(protocol="SASL_PLAINTEXT", users={USER: PASSWORD}),
        acls=True,
        properties={"listener.name.client.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512"},
    ) as cluster:
        yield cluster


def log_in(contender: Contender, kafka: KafkaCluster, password_file: Path, *rights: str) -> None:
    password_file.write_text(PASSWORD)
    contender.forwarder.config["kafka"]["security"] = {
        "protocol": "sasl_plaintext",
        "sasl": {"mechanism": "PLAIN", "username": USER, "password_file": str(password_file)},
    }
    for topic in (contender.topics.detection, contender.topics.dead_letter):
        for right in rights:
            kafka.administration.grant(USER, right, name=topic)
    kafka.administration.grant(USER, "write", resource="transactional_id", name=contender.topics.detection)


def producers_used(kafka: KafkaCluster, contender: Contender) -> int:
    """How many producers the forwarder has had: those of a transactional id are counted by Kafka, other ids are new."""
    client = KafkaAdminClient(bootstrap_servers=kafka.internal_servers)
    try:
        if contender.delivery == "exactly_once":
            group = contender.topics.detection
            return int(client.describe_transactions([group])[group].producer_epoch) + 1
        places = [TopicPartition(contender.topics.detection, number) for number in range(3)]
        places.append(TopicPartition(contender.topics.dead_letter, 0))
        states = client.describe_producers(places).values()
        ids = {producer.producer_id for state in states for producer in state.active_producers}
        return max(ids) - min(ids) + 1
    finally:
        client.close()


def letters(contender: Contender) -> dict[int, Any]:
    found = {number_of(letter.event_id): letter for letter in contender.judge.read(contender.topics.dead_letter)}
    return {number: letter for number, letter in found.items() if number is not None}


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_sixty_records_above_the_limit_hold_nothing_up(
    delivery: str, mosquitto: Mosquitto, kafka: KafkaCluster, make_forwarder: MakeForwarder
) -> None:
    (contender,) = side_by_side(make_forwarder, fabric=mosquitto, kafka=kafka, deliveries=[delivery])
    kafka.administration.set_topic_config(contender.topics.detection, max_message_bytes=LIMIT)
    fill(contender.forwarder, with_large_ones())
    start([contender])
    began = time.monotonic()
    contender.settle(EVENTS, state="degraded")
    assert contender.forwarder.status()["reason"] == "dead_letters"
    print(f"{delivery}: {time.monotonic() - began:.1f} s, {producers_used(kafka, contender)} producers")
    contender.assert_delivered(range(EVENTS), dead_letters=len(OVERSIZED))
    assert producers_used(kafka, contender) == 1
    end = f"bytes and the topic {contender.topics.detection} takes at most 500,000 (max.message.bytes)"
    for number, letter in letters(contender).items():
        assert number in OVERSIZED
        assert letter.headers["reason"] == "refused_too_large"
        assert letter.headers["detail"].endswith(end)
        assert letter.headers["detail"].count(contender.topics.detection) == 1
        assert len(letter.value) == int(letter.headers["original_size"]) > LARGE
    assert "publisher.refused" in contender.forwarder.log()
    shown = contender.forwarder.status()
    assert {letter["bytes"] for letter in shown["dead_letters"]["last"]} <= {
        len(letter.value) for letter in letters(contender).values()
    }
