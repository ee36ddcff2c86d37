"""What Kafka refuses stops no other: it ends among the dead letters, or set aside where nothing takes it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from tests.conftest import MakeForwarder
from tests.harness.deliveries import Contender, detections, fill, side_by_side, start
from tests.harness.detections import detection, message_id
from tests.harness.forwarder import Forwarder
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.mosquitto import Mosquitto

LIMIT = 20_000
HOUR_MS = 3_600_000
EVENTS = 1_000
FIRST_LAST_NEIGHBOURS = (0, 1, 300, 302, 303, 999)
FIFTY_IN_A_ROW = range(500, 550)


def large(number: int, size: int = 3 * LIMIT) -> bytes:
    fields = json.loads(detection(number, agent=number % 50))
    fields["note"] = "x" * size
    return json.dumps(fields).encode()


def payloads(count: int, poisons: Iterable[int]) -> dict[int, bytes]:
    return detections(range(count)) | {number: large(number) for number in poisons}


def limit_records(kafka: KafkaCluster, contender: Contender, *, events: int = LIMIT, dead_letters: int = LIMIT) -> None:
    kafka.administration.set_topic_config(
        contender.topics.detection, max_message_bytes=events, message_timestamp_after_max_ms=HOUR_MS
    )
    kafka.administration.set_topic_config(contender.topics.dead_letter, max_message_bytes=dead_letters)


def event_id(number: int) -> str:
    return message_id(number).strip("{}")


def raw_records(kafka: KafkaCluster, topic: str) -> dict[str, Any]:
    """kafka-python's own records by event id."""
    consumer = KafkaConsumer(
        bootstrap_servers=kafka.internal_servers, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    found: dict[str, Any] = {}
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for records in consumer.poll(timeout_ms=200).values():
            found.update({dict(record.headers)["ce_id"].decode(): record for record in records})
    consumer.close()
    return found


def test_sixty_records_that_kafka_refuses_among_a_thousand_stop_no_other(
    mosquitto: Mosquitto, kafka: KafkaCluster, make_forwarder: MakeForwarder
) -> None:
    poisons = {*FIRST_LAST_NEIGHBOURS, *FIFTY_IN_A_ROW}
    from_the_future = 250
    tomorrow = time.time_ns() // 1_000_000 + 24 * HOUR_MS
    contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=kafka)
    for contender in contenders:
        limit_records(kafka, contender)
        fill(contender.forwarder, payloads(EVENTS, poisons), received_at_ms={from_the_future: tomorrow})
    began = time.time()
    start(contenders)
    for contender in contenders:
        contender.settle(EVENTS, timeout=60.0, state=None)
        print(f"{contender.delivery}: {len(poisons)} refused of {EVENTS} in {time.time() - began:.1f} s")
        contender.assert_delivered(range(EVENTS), dead_letters=len(poisons), outcomes_known=False)
        metrics = contender.forwarder.metrics()
        assert metrics['tie_forwarder_events_dead_lettered_total{reason="refused_too_large"}'] == len(poisons)
        assert contender.forwarder.ledger()["published"] == EVENTS
        for letter in contender.judge.verdict(range(EVENTS)).dead_letters:
            _assert_tells_of_the_whole(letter, limit=LIMIT)
        record = raw_records(kafka, contender.topics.detection)[event_id(from_the_future)]
        # Kafka takes no time of tomorrow; when it was received stays in the headers.
        assert began * 1000 - 1000 < record.timestamp < time.time() * 1000 + 1000
        received = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(tomorrow / 1000))
        assert dict(record.headers)["ce_receivedtime"].decode().startswith(received)


def _assert_tells_of_the_whole(letter: Any, *, limit: int) -> None:
    number = int(letter.event_id[-12:], 16)
    value = json.dumps(_normal(large(number)), separators=(",", ":")).encode()
    assert letter.headers["reason"] == "refused_too_large"
    assert int(letter.headers["original_size"]) == len(value)
    assert letter.headers["sha256"] == hashlib.sha256(value).hexdigest()
    assert 0 < len(letter.value) < limit
    assert value.startswith(letter.value)


def _normal(payload: bytes) -> dict[str, Any]:
    """What the forwarder makes of a payload: hashes as hex, known fields first and in alphabetical order."""
    from tie_forwarder.events.decoding import decode
    from tie_forwarder.events.kinds import KINDS

    event = decode(KINDS["detection"], payload)
    decoded: dict[str, Any] = json.loads(event.kind.adapter.serializer.to_json(event.model, exclude_unset=True))
    return decoded


def test_a_refused_dead_letter_is_cut_further_and_in_the_end_set_aside(
    mosquitto: Mosquitto, kafka: KafkaCluster, make_forwarder: MakeForwarder
) -> None:
    for dead_letters, fits in ((1_500, True), (150, False)):
        contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=kafka)
        for contender in contenders:
            limit_records(kafka, contender, dead_letters=dead_letters)
            fill(contender.forwarder, payloads(3, [0, 1, 2] if fits else [1]))
        start(contenders)
        for contender in contenders:
            forwarder = contender.forwarder
            if fits:
                # Nothing but poison.
                contender.settle(3)
                contender.assert_delivered(range(3), dead_letters=3)
                assert forwarder.ledger()["dropped"] == 0
            else:
                contender.settle(3, state="degraded")
                assert forwarder.status()["reason"] == "events_dropped"
                assert forwarder.metrics()['tie_forwarder_events_dropped_total{reason="refused"}'] == 1
                assert (forwarder.ledger()["published"], forwarder.ledger()["dropped"]) == (2, 1)
                line = json.loads((forwarder.spool_directory / "set-aside.ndjson").read_text())
                assert line["event_id"] == event_id(1).replace("-", "")
                assert line["reason"] == "refused"
            forwarder.discard()


def test_a_crash_while_a_refused_record_is_found_out_neither_loses_nor_repeats_it(
    mosquitto: Mosquitto, kafka: KafkaCluster, make_forwarder: MakeForwarder
) -> None:
    events, poisons = 400, range(100, 400, 20)
    contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=kafka)
    for contender in contenders:
        limit_records(kafka, contender)
        fill(contender.forwarder, payloads(events, poisons))
    start(contenders)
    for contender in contenders:
        forwarder = contender.forwarder
        for found in (1, 2, 4, 6, 8):
            _wait_until_found(forwarder, found)
            forwarder.kill_part("publisher")
        forwarder.kill_all()
        forwarder.start()
        contender.settle(forwarder.ledger()["in_spool_at_start"])
        contender.assert_delivered(range(events), dead_letters=len(poisons), outcomes_known=False)


def _wait_until_found(forwarder: Forwarder, count: int) -> None:
    name = 'tie_forwarder_publish_errors_total{class="poison",code="too_large"}'
    forwarder.wait_until(
        lambda f: f.metrics()[name] >= count and f.part("publisher").is_running(),
        timeout=30.0,
        what=f"{count} refused records found",
    )
