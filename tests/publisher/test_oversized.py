"""Records that a topic is too small for become dead letters without holding anything up: on a real Kafka."""

from __future__ import annotations

import json
import random
import re
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient, TopicPartition
from kafka.record.memory_records import MemoryRecordsBuilder

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.deliveries import DELIVERIES, Contender, detections, fill, side_by_side, start
from tests.harness.detections import DETECTION_TOPIC, detection, message_id, number_of
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.properties import Security
from tests.harness.load import FabricPublisher
from tests.harness.mosquitto import Mosquitto
from tie_forwarder.check.topics import largest_batches
from tie_forwarder.config import load
from tie_forwarder.events.decoding import MAX_BYTES
from tie_forwarder.events.message import Message
from tie_forwarder.intake import Accepted, Intake
from tie_forwarder.records.formats import FORMATS
from tie_forwarder.records.size import batch_bytes

LIMIT, LARGE, EVENTS = 500_000, 900_000, 500
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
        return int(max(ids) - min(ids) + 1)
    finally:
        client.close()


def publish_large(publisher: FabricPublisher, numbers: Iterable[int]) -> None:
    numbers = list(numbers)
    publisher.publish(map(large, numbers), message_ids=map(message_id, numbers))


def assert_goes_through(contenders: list[Contender], publisher: FabricPublisher) -> None:
    """Soon a large event is a record, and until then a dead letter; no publisher is replaced for it."""
    for number in range(2_000, 2_000 + 40):
        publish_large(publisher, [number])
        for contender in contenders:
            contender.forwarder.wait_until_drained()
        verdicts = [contender.judge.verdict([number]) for contender in contenders]
        if not any(letter.event_id == message_id(number)[1:-1] for v in verdicts for letter in v.dead_letters):
            break
        time.sleep(2)
    else:
        pytest.fail("the raised limit was not noticed")
    for contender in contenders:
        assert contender.forwarder.metrics()['tie_forwarder_publisher_restarts_total{reason="error"}'] == 0


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


@pytest.mark.long
def test_without_the_right_to_see_the_limit_what_kafka_refused_last_tells_it_and_a_raised_limit_is_found_by_trying(
    tmp_path: Path, mosquitto: Mosquitto, locked: KafkaCluster, make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:  # fmt: skip
    contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=locked)
    sizes = {number: large(number, LARGE + 100 * (number * 37 % 61)) for number in OVERSIZED}
    lengths = [len(payload) for payload in sizes.values()]
    smallest_so_far = len(set(accumulate(lengths, min)))
    for contender in contenders:
        locked.administration.set_topic_config(contender.topics.detection, max_message_bytes=LIMIT)
        log_in(contender, locked, tmp_path / "password", "write", "read")
        fill(contender.forwarder, detections(range(EVENTS)) | sizes)
    start(contenders)
    for contender in contenders:
        contender.settle(EVENTS, state="degraded")
        contender.assert_delivered(range(EVENTS), dead_letters=len(OVERSIZED), outcomes_known=False)
        ends = {re.sub(r"[0-9,]{7,}", "N", letter.headers["detail"]) for letter in letters(contender).values()}
        start_of_all = f"the record is N bytes and the topic {contender.topics.detection}"
        assert ends == {
            f"{start_of_all} takes less (its max.message.bytes is not known)",
            f"{start_of_all} has lately refused one of N (its max.message.bytes is not known)",
        }
        print(f"{contender.delivery}: {producers_used(locked, contender)} producers")
        # Each one that is smaller than all that were refused before costs two, and an abort counts, too.
        assert producers_used(locked, contender) <= 1 + 2 * 2 * smallest_so_far
        locked.administration.set_topic_config(contender.topics.detection, max_message_bytes=2 * LARGE)
    assert_goes_through(contenders, make_publisher(mosquitto))


@pytest.mark.long
def test_a_limit_that_is_raised_or_lowered_is_noticed_without_a_restart(
    mosquitto: Mosquitto, kafka: KafkaCluster, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=kafka)
    for contender in contenders:
        fill(contender.forwarder, with_large_ones())
    start(contenders)
    for contender in contenders:
        contender.settle(EVENTS)
        contender.assert_delivered(range(EVENTS))
        kafka.administration.set_topic_config(contender.topics.detection, max_message_bytes=LIMIT)
    publisher = make_publisher(mosquitto)
    publish_large(publisher, range(EVENTS, EVENTS + 10))
    for contender in contenders:
        contender.settle(EVENTS + 10)
        contender.assert_delivered(range(EVENTS + 10), dead_letters=10, outcomes_known=False)
        if contender.delivery == "exactly_once":
            assert producers_used(kafka, contender) == 3, "one was lost to find it out, and an abort counts, too"
        kafka.administration.set_topic_config(contender.topics.detection, max_message_bytes=2 * LARGE)
    assert_goes_through(contenders, publisher)


@pytest.mark.parametrize("stored", ["producer", "uncompressed"])
def test_with_compression_the_size_that_kafka_looks_at_counts(
    stored: str, mosquitto: Mosquitto, kafka: KafkaCluster, make_forwarder: MakeForwarder
) -> None:
    options = {"kafka": {"producer": {"compression_type": "gzip"}}}
    contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=kafka, options=options)
    compressible, noise = range(100, 110), range(200, 210)
    for contender in contenders:
        topic = contender.topics.detection
        kafka.administration.set_topic_config(topic, max_message_bytes=LIMIT, compression_type=stored)
        payloads = with_large_ones(compressible, compressible=True) | {number: large(number) for number in noise}
        fill(contender.forwarder, dict(sorted(payloads.items())))
    start(contenders)
    dead = {*noise} if stored == "producer" else {*noise, *compressible}
    for contender in contenders:
        contender.settle(EVENTS, state=None)
        contender.assert_delivered(range(EVENTS), dead_letters=len(dead))
        assert letters(contender).keys() == dead
        said = {"compressed with gzip" in letter.headers["detail"] for letter in letters(contender).values()}
        assert said == {stored == "producer"}
        if contender.delivery == "exactly_once":
            assert producers_used(kafka, contender) == 1


@given(
    key=st.none() | st.binary(max_size=300),
    value=st.binary(max_size=20_000) | st.sampled_from([63, 64, 8_191, 8_192, 1_048_575, 1_048_576]).map(bytes),
    headers=st.lists(st.tuples(st.text(max_size=80), st.binary(max_size=200)), max_size=70),
)
def test_a_size_is_that_of_the_batch_that_kafka_python_makes(
    key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]
) -> None:
    builder = MemoryRecordsBuilder(2, 0, 0)
    builder.append(1_700_000_000_000, key, value, headers)
    builder.close()
    assert batch_bytes(key, len(value), headers) == builder.size_in_bytes()


@pytest.mark.parametrize("form", FORMATS)
def test_check_knows_the_size_of_the_largest_record_of_each_kind_in_each_format(form: str, tmp_path: Path) -> None:
    events = "[detection, first_instance, file_reputation_change, certificate_reputation_change]"
    (tmp_path / "config.yaml").write_text(f"dxl: {{events: {events}}}\nkafka: {{format: {form}}}\n")
    config = load(tmp_path / "config.yaml", environ={})
    found = largest_batches(config)
    assert set(found) == set(config.kafka.topics.by_destination().values())
    assert all(MAX_BYTES + 1_000 < size < MAX_BYTES + 8_000 for size in found.values()), found
    intake = Intake(fabric="main", key_by="agent_guid", kinds=("detection",), formats={"detection": form})
    payload = large(1, MAX_BYTES - 500)
    accepted = intake.accept(Message(message_id(1), DETECTION_TOPIC, message_id(2), message_id(3), payload, 1))
    assert isinstance(accepted, Accepted)
    assert accepted.reason is None
    record = accepted.record
    size = batch_bytes(record.key, len(record.value), record.headers)
    assert 1_048_588 < size < found[config.kafka.topics.detection]
