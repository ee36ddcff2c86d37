"""What the publisher writes and asks, on a real Kafka: records, options, handshakes, diagnoses, new partitions."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.deliveries import detections, fill, side_by_side, start
from tests.harness.detections import DETECTION_TOPIC, agent_guid, detection, message_id
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.properties import Security
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tie_forwarder import __version__
from tie_forwarder.demo.certificates import Authority, Identity
from tie_forwarder.demo.servers import EmbeddedKafka
from tie_forwarder.kafka.admin import TopicSettings
from tie_forwarder.kafka.diagnosis import Diagnosis
from tie_forwarder.kafka.errors import Causes, ErrorClass, PublisherError
from tie_forwarder.kafka.handshake import shake_hands
from tie_forwarder.kafka.producer import Partitions, Producer
from tie_forwarder.kafka.queries import create_topics
from tie_forwarder.publisher.at_least_once import Delivery
from tie_forwarder.publisher.patience import Patience
from tie_forwarder.records.record import Record, Row

USER, PASSWORD = "forwarder", "right-password-9317"


def everything_in(kafka: KafkaCluster, topic: str) -> list[Any]:
    """kafka-python's own records, by partition and offset."""
    consumer = KafkaConsumer(
        bootstrap_servers=kafka.internal_servers, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    found: list[Any] = []
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for records in consumer.poll(timeout_ms=200).values():
            found += records
    consumer.close()
    return found


# Records


def test_a_record_and_a_dead_letter_are_what_the_contract_says(
    mosquitto: Mosquitto, kafka: KafkaCluster, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    contenders = side_by_side(
        make_forwarder, fabric=mosquitto, kafka=kafka, options={"kafka": {"producer": {"compression_type": "gzip"}}}
    )
    start(contenders)
    began = int(time.time() * 1000)
    payload = json.dumps({**json.loads(detection(7, agent=3)), "surplus": [1]}).encode()
    rubbish = b"{no json \xff"
    make_publisher(mosquitto).publish([payload, rubbish], message_ids=[message_id(7), message_id(8)])
    for contender in contenders:
        contender.settle(2)
        (record,) = everything_in(kafka, contender.topics.detection)
        value = json.loads(record.value)
        headers = [(name, text.decode()) for name, text in record.headers]
        received = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        assert began - 1_000 <= record.timestamp <= time.time() * 1000
        assert record.key == agent_guid(3).strip("{}").encode()
        assert headers == [
            ("ce_specversion", "1.0"),
            ("ce_id", message_id(7).strip("{}")),
            ("ce_source", "/opendxl/main"),
            ("ce_type", "com.mcafee.tie.file.detection.v1"),
            ("ce_time", "2023-11-14T22:13:20Z"),
            ("ce_subject", value["hashes"]["sha256"]),
            ("content-type", "application/json"),
            ("ce_dxltopic", DETECTION_TOPIC),
            ("ce_receivedtime", received.isoformat(timespec="milliseconds").replace("+00:00", "Z")),
            ("ce_forwarder", contender.delivery),
        ]
        assert list(value) == [
            "agentGuid", "detectionTime", "hashes", "localReputation", "name", "remediationAction", "surplus",
        ]  # fmt: skip
        assert value["agentGuid"] == agent_guid(3)
        assert {name: len(digest) for name, digest in value["hashes"].items()} == {"md5": 32, "sha1": 40, "sha256": 64}
        (letter,) = everything_in(kafka, contender.topics.dead_letter)
        assert letter.value == rubbish
        told = {name: text.decode() for name, text in letter.headers}
        detail, received_at = told.pop("detail"), told.pop("received_at")
        assert detail
        assert received_at.endswith("Z")
        assert told == {
            "reason": "not_utf8",
            "dxl_topic": DETECTION_TOPIC,
            "ce_id": message_id(8).strip("{}"),
            "forwarder_version": __version__,
            "ce_forwarder": contender.delivery,
        }


def test_options_of_the_producer_reach_it(kafka: KafkaCluster, topics: Topics) -> None:
    producer = make_producer(kafka, topics, compression_type="gzip", linger_ms=7)
    producer.open()
    try:
        config = producer.client.config
        assert (config["compression_type"], config["linger_ms"], config["acks"]) == ("gzip", 7, -1)
        sent = producer.send(row(1, topics))
        assert sent.get(timeout=10).offset == 0
    finally:
        producer.close()
    with pytest.raises(PublisherError) as raised:
        make_producer(kafka, topics, compression_type="none such").open()
    assert raised.value.verdict[:2] == (ErrorClass.BLOCKED, "producer_options")
    assert "none such" in raised.value.verdict.detail


def test_a_policy_that_kafka_does_not_tell_is_not_taken_for_a_good_one(
    kafka: KafkaCluster, topics: Topics, tmp_path: Path
) -> None:
    """The embedded Kafka answers the question for a topic's configuration with nothing."""

    def told(connection: dict[str, Any]) -> list[list[str]]:
        found: list[list[str]] = []
        settings = TopicSettings(connection=connection, topics=[topics.detection], on_compacted=found.append)
        settings.refresh(wait_seconds=10.0)
        return found

    assert told({"bootstrap_servers": kafka.bootstrap_servers}) == [[]]
    embedded = EmbeddedKafka(directory=tmp_path)
    embedded.start()
    try:
        embedded.wait_until_serving()
        create_topics(embedded.connection, [topics.detection])
        assert told(embedded.connection) == []
    finally:
        embedded.stop()


def make_producer(kafka: KafkaCluster, topics: Topics, **options: Any) -> Producer:
    return Producer(
        connection={"bootstrap_servers": kafka.bootstrap_servers},
        options=options,
        topics={"detection": topics.detection},
        member="test",
        partitions=Partitions(),
    )


def row(position: int, topics: Topics) -> Row:
    identity = message_id(position).strip("{}")
    return Row(position, Record("detection", identity, b"key", b"{}", (), int(time.time() * 1000)), None)


def test_partitions_that_are_added_are_used_without_a_restart(
    mosquitto: Mosquitto, kafka: KafkaCluster, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=kafka, options={
        "kafka": {"producer": {"metadata_max_age_ms": 2_000}}})  # fmt: skip
    start(contenders)
    publisher = make_publisher(mosquitto)
    publisher.publish_detections(range(100))
    for contender in contenders:
        contender.settle(100)
        kafka.administration.add_partitions(contender.topics.detection, total=6)
    published = 100
    for contender in contenders:

        def reaches_the_new_ones(topic: str = contender.topics.detection) -> bool:
            nonlocal published
            publisher.publish_detections(range(published, published + 50))
            published += 50
            return {record.partition for record in everything_in(kafka, topic)} == set(range(6))

        wait_until(reaches_the_new_ones, timeout=20.0, what="records in the new partitions")
    for contender in contenders:
        contender.settle(published)
        verdict = contender.judge.verdict(range(published))
        assert not verdict.lost
        assert not verdict.duplicated
        restarts = contender.forwarder.metrics()
        assert sum(v for name, v in restarts.items() if "publisher_restarts_total" in name) == 1


def test_a_member_that_publishes_one_event_each_second_keeps_its_publisher(
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    topics: Topics,
    judge: Judge,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    """Between two events it has time to look at the output, but not to read all of it."""
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics)
    forwarder.start()
    publisher = make_publisher(mosquitto)
    publisher.publish_detections([0])
    forwarder.wait_until(lambda f: f.ledger()["published"] == 1, timeout=30.0, what="the first event published")
    before = forwarder.part("publisher").pid
    publisher.publish_detections(range(1, 26), rate=1.0)
    forwarder.wait_until(lambda f: f.ledger()["published"] == 26, timeout=30.0, what="all events published")
    assert forwarder.part("publisher").pid == before
    assert sum(v for name, v in forwarder.metrics().items() if "publisher_restarts_total" in name) == 1
    judge.verdict(range(26)).assert_exactly_once()


# Full spool, quota


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_a_full_spool_drops_by_its_policy_counts_every_drop_and_goes_on(
    policy: str,
    mosquitto: Mosquitto,
    own_kafka: KafkaCluster,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    contenders = side_by_side(
        make_forwarder, fabric=mosquitto, kafka=own_kafka, options={"spool": {"max_bytes": "1MiB", "when_full": policy}}
    )
    start(contenders)
    publisher = make_publisher(mosquitto)
    publisher.publish_detections(range(100))
    for contender in contenders:
        contender.settle(100)
    own_kafka.kill()
    events = 4_000
    publisher.publish_detections(range(100, events), rate=2_000)
    for contender in contenders:
        forwarder = contender.forwarder
        forwarder.wait_until(lambda f: f.ledger()["received"] == events, timeout=30.0, what="all received")
        forwarder.wait_until(lambda f: f.status()["reason"] == "events_dropped", timeout=5.0, what="drops shown")
        assert forwarder.status()["state"] == "degraded"
        assert forwarder.ledger()["imbalance"] == 0
    own_kafka.restart()
    for contender in contenders:
        contender.settle(events, state="degraded")
        ledger = contender.forwarder.ledger()
        dropped = contender.forwarder.metrics()['tie_forwarder_events_dropped_total{reason="spool_full"}']
        assert ledger["dropped"] == dropped > 0
        assert ledger["published"] + ledger["dropped"] == events
        verdict = contender.judge.verdict(range(events))
        assert len(verdict.lost) == dropped
        kept = sorted(set(range(events)).difference(verdict.lost))
        if policy == "drop_newest":
            # Room is reckoned a little high, so that a last few fit when the rest has been written.
            first = len(kept) - 50
            assert kept[:first] == list(range(first))
        else:
            # The newest are there, and so is what was in flight when the spool got full.
            assert kept[-400:] == list(range(events - 400, events))
            assert kept[:100] == list(range(100))
        if contender.delivery == "exactly_once":
            assert not verdict.duplicated
    publisher.publish_detections(range(events, events + 50))
    for contender in contenders:
        contender.forwarder.wait_until(
            lambda f: f.ledger()["in_spool"] == 0 and f.ledger()["received"] == events + 50,
            timeout=20.0,
            what="forwarding as before",
        )
        assert contender.forwarder.ledger()["imbalance"] == 0


def test_a_quota_slows_the_publisher_and_is_told_and_nobody_is_killed_for_it(
    mosquitto: Mosquitto, kafka: KafkaCluster, make_forwarder: MakeForwarder
) -> None:
    contenders = side_by_side(
        make_forwarder, fabric=mosquitto, kafka=kafka, options={"kafka": {"producer": {"client_id": "thrifty"}}}
    )
    kafka.administration.set_quota(client_id="thrifty", producer_byte_rate=40_000.0)
    try:
        for contender in contenders:
            fill(contender.forwarder, detections(range(1_500)))
        start(contenders)
        for contender in contenders:
            contender.forwarder.wait_until(
                lambda f: '"reason": "quota"' in f.log() or '"reason": "kafka_slow"' in f.log(),
                timeout=60.0,
                what="slowness told",
            )
        kafka.administration.set_quota(client_id="thrifty", producer_byte_rate=None)
        for contender in contenders:
            contender.settle(1_500, timeout=90.0)
            contender.assert_delivered(range(1_500))
    finally:
        kafka.administration.set_quota(client_id="thrifty", producer_byte_rate=None)
    for contender in contenders:
        metrics = contender.forwarder.metrics()
        assert metrics['tie_forwarder_publish_errors_total{class="transient",code="stuck"}'] == 0


# Standing still


def test_a_producer_that_makes_no_progress_though_kafka_answers_is_given_up(
    kafka: KafkaCluster, topics: Topics
) -> None:
    class Never:
        is_done = False

        def get(self, timeout: float) -> None:
            time.sleep(timeout / 50)
            raise KafkaTimeoutError

    class Frozen(Producer):
        """A producer in one of the states that kafka-python never leaves."""

        def open(self) -> None:
            pass

        def send(self, row: Row, *, timestamp_ms: int | None = None, partition: int | None = None) -> Any:
            return Never()

    clock = _Fast(20)
    connection = {"bootstrap_servers": kafka.bootstrap_servers, "security_protocol": "PLAINTEXT"}
    settings = TopicSettings(connection=connection, topics=[topics.detection], on_compacted=lambda _: None)
    diagnosis = Diagnosis(
        connection=connection, topics=[topics.detection], rights=["WRITE"], settings=settings, causes=Causes()
    )
    assert diagnosis.ask() is None
    troubles: list[Any] = []
    patience = Patience(
        diagnosis=diagnosis,
        throttled=lambda: False,
        on_trouble=troubles.append,
        stop=threading.Event(),
        monotonic=clock,
    )
    frozen = Frozen(connection=connection, options={}, topics={}, member="", partitions=Partitions())
    delivery = Delivery(
        make_producer=lambda: frozen,
        on_published=lambda rows: None,
        on_refused=lambda refused: None,
        watch=patience.watch,
    )
    delivery.open()
    with pytest.raises(PublisherError) as raised:
        delivery.deliver([row(1, topics), row(2, topics)])
    assert raised.value.verdict[:2] == (ErrorClass.TRANSIENT, "stuck")


class _Fast:
    """A clock that runs so many times as fast."""

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def __call__(self) -> float:
        return time.monotonic() * self._factor


# Handshakes


@pytest.fixture(scope="module")
def servers(
    provisioned: None, kafka: KafkaCluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """One listener for each protocol."""
    users = {USER: PASSWORD}
    offered = {"listener.name.client.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512"}
    secured = {
        "SASL_PLAINTEXT": Security(protocol="SASL_PLAINTEXT", users=users),
        "SSL": Security(protocol="SSL", authority=authority, client_certificates=True),
        "SASL_SSL": Security(protocol="SASL_SSL", users=users, authority=authority),
    }
    clusters = {
        protocol: KafkaCluster(
            directory=tmp_path_factory.mktemp(protocol), security=security, properties=offered if security.sasl else {}
        )
        for protocol, security in secured.items()
    }
    try:
        for cluster in clusters.values():
            cluster.start()
        found = {protocol: cluster.bootstrap_servers[0] for protocol, cluster in clusters.items()}
        yield {"PLAINTEXT": kafka.bootstrap_servers[0], **found}
    finally:
        for cluster in clusters.values():
            cluster.discard()


def connection(
    protocol: str, *, authority: Authority | None = None, identity: Identity | None = None, **changes: Any
) -> dict[str, Any]:
    """The settings as the blueprint makes them."""
    settings: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        settings |= {
            "ssl_check_hostname": True,
            "ssl_cafile": None if authority is None else str(authority.ca_file),
            "ssl_certfile": None if identity is None else str(identity.certificate),
            "ssl_keyfile": None if identity is None else str(identity.key),
            "ssl_password": None,
        }
    if protocol.startswith("SASL"):
        settings |= {"sasl_mechanism": "PLAIN", "sasl_plain_username": USER, "sasl_plain_password": PASSWORD}
    return settings | changes


def test_a_handshake_says_for_certain_whether_a_client_is_welcome_and_why_not(
    servers: dict[str, str], authority: Authority, tmp_path: Path
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    client = authority.issue("shaking")
    expired = authority.issue("expired-client", valid_from=yesterday - timedelta(days=9), valid_until=yesterday)
    stranger = Authority(tmp_path / "stranger")
    foreign = stranger.issue("foreign")
    plain, sasl = connection("PLAINTEXT"), connection("SASL_PLAINTEXT")
    tls = connection("SSL", authority=authority, identity=client)
    both = connection("SASL_SSL", authority=authority)
    scram = {"sasl_mechanism": "SCRAM-SHA-512"}
    wrong = {"sasl_plain_password": "wrong-password-5521"}
    cases: list[tuple[dict[str, Any], str, str, str]] = [
        (plain, "PLAINTEXT", "", ""),
        (sasl, "SASL_PLAINTEXT", "", ""),
        (sasl | scram, "SASL_PLAINTEXT", "", ""),
        (tls, "SSL", "", ""),
        (both, "SASL_SSL", "", ""),
        (both | scram, "SASL_SSL", "", ""),
        (plain, "SASL_PLAINTEXT", "sasl_mechanism", "wants a login by SASL: PLAIN, SCRAM-SHA-512"),
        (plain, "SSL", "tls", "speaks TLS"),
        (plain, "SASL_SSL", "tls", "speaks TLS"),
        (sasl, "PLAINTEXT", "sasl_mechanism", "takes no login by SASL"),
        (sasl, "SSL", "tls", "speaks TLS"),
        (sasl, "SASL_SSL", "tls", "speaks TLS"),
        (tls, "PLAINTEXT", "tls", "does not speak TLS"),
        (tls, "SASL_PLAINTEXT", "tls", "does not speak TLS"),
        (tls, "SASL_SSL", "sasl_mechanism", "wants a login by SASL"),
        (both, "PLAINTEXT", "tls", "does not speak TLS"),
        (sasl | wrong, "SASL_PLAINTEXT", "authentication", "Invalid username or password"),
        (sasl | scram | wrong, "SASL_PLAINTEXT", "authentication", "invalid credentials"),
        (sasl | {"sasl_plain_username": "nobody"}, "SASL_PLAINTEXT", "authentication", "Invalid username"),
        (both | wrong, "SASL_SSL", "authentication", "Invalid username or password"),
        (
            sasl | {"sasl_mechanism": "SCRAM-SHA-256"},
            "SASL_PLAINTEXT",
            "sasl_mechanism",
            "does not offer SCRAM-SHA-256",
        ),
        (tls | {"ssl_cafile": str(stranger.ca_file)}, "SSL", "tls", "its certificate is refused"),
        (tls | {"ssl_cafile": None}, "SSL", "tls", "its certificate is refused"),
        (tls | {"ssl_cafile": "/nowhere/ca.pem"}, "SSL", "tls", "/nowhere/ca.pem cannot be used"),
        (connection("SSL", authority=authority), "SSL", "tls", "refuses this client's certificate"),
        (connection("SSL", authority=authority, identity=expired), "SSL", "tls", "refuses this client's certificate"),
        (connection("SSL", authority=authority, identity=foreign), "SSL", "tls", "refuses this client's certificate"),
    ]
    for settings, protocol, code, says in cases:
        for _ in range(3):
            verdict = shake_hands(settings, servers[protocol])
            if not code:
                assert verdict is None, f"{settings['security_protocol']} to {protocol}: {verdict}"
                continue
            assert verdict is not None, f"{settings['security_protocol']} to {protocol}"
            assert verdict[:2] == (ErrorClass.BLOCKED, code), (
                f"{settings['security_protocol']} to {protocol}: {verdict}"
            )
            assert says in verdict.detail
            assert "5521" not in verdict.detail


def test_a_handshake_with_nobody_is_a_matter_of_waiting(own_kafka: KafkaCluster) -> None:
    nobody = shake_hands(connection("PLAINTEXT"), "127.0.0.1:9")
    assert nobody is not None
    assert (nobody.error_class, nobody.detail) == (ErrorClass.TRANSIENT, "127.0.0.1:9: Connection refused")
    own_kafka.hang()
    silent = shake_hands(connection("PLAINTEXT"), own_kafka.bootstrap_servers[0])
    assert silent is not None
    assert silent.error_class is ErrorClass.TRANSIENT
    assert silent.detail.endswith("it does not answer")
    own_kafka.resume()
