"""The road of hostile messages, from the fabric through all processes to Kafka."""

from __future__ import annotations

import dxlclient.message as dxl
import pytest

from tests.conftest import MakeForwarder, MakePublisher
from tests.data.payloads import hostile_payloads
from tests.harness import mqtt
from tests.harness.detections import DETECTION_TOPIC, detection, message_id
from tests.harness.fake_fabric import Behaviour, FakeFabric
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import EventEncoder
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics

RESTARTS = "tie_forwarder_receiver_restarts_total"

HOSTILE = {name: pair for name, pair in hostile_payloads().items() if len(pair[0]) < 500_000}
"""Those that a Kafka with its default limits takes whole."""


class TestRoad:
    """From the fabric to Kafka, through all processes."""

    @pytest.fixture
    def forwarder(
        self, mosquitto: Mosquitto, kafka: KafkaCluster, topics: Topics, make_forwarder: MakeForwarder
    ) -> Forwarder:
        forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics)
        forwarder.start()
        return forwarder

    @staticmethod
    def settle(forwarder: Forwarder, count: int) -> None:
        """Waits until `count` messages are in Kafka; each of them by the first receiver."""
        forwarder.wait_until(lambda f: f.ledger()["published"] == count, timeout=25.0, what=f"{count} published")
        assert forwarder.ledger()["received"] == count
        assert forwarder.ledger()["imbalance"] == 0
        metrics = forwarder.metrics()
        restarts = {name: count for name, count in metrics.items() if name.startswith(RESTARTS)}
        assert sum(restarts.values()) == restarts[f'{RESTARTS}{{reason="start"}}'] == 1

    def test_every_hostile_payload_ends_as_a_dead_letter_with_its_bytes_and_its_neighbours_arrive(
        self, forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher, judge: Judge, topics: Topics
    ) -> None:
        payloads, ids = [], []
        for number, (payload, _) in enumerate(HOSTILE.values()):
            payloads += [detection(2 * number, agent=0), payload]
            ids += [message_id(2 * number), message_id(2 * number + 1)]
        make_publisher(mosquitto).publish(payloads, message_ids=ids)
        self.settle(forwarder, len(payloads))
        judge.verdict(range(len(payloads))).assert_exactly_once(dead_letters=len(HOSTILE))
        letters = {letter.event_id: letter for letter in judge.read(topics.dead_letter)}
        for number, (name, (payload, reason)) in enumerate(HOSTILE.items()):
            letter = letters[message_id(2 * number + 1).strip("{}")]
            assert (letter.value, letter.headers["reason"]) == (payload, reason), name
            assert letter.headers["dxl_topic"] == DETECTION_TOPIC

    def test_an_unreadable_envelope_or_a_payload_of_another_type_is_a_dead_letter_too(
        self, forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher, judge: Judge, topics: Topics
    ) -> None:
        request = dxl.Request(DETECTION_TOPIC)
        request.payload = detection(0, agent=0)
        envelopes = [
            b"", b"\xc1garbage", b"\x02", b"\x02\x09", b"\x02\x02" + b"\x91" * 5_000, b"\xdd\xff\xff\xff\xff", b"{}",
            EventEncoder().message(detection(0, agent=0))[:-40], request._to_bytes(),
        ]  # fmt: skip
        texts = {b"None": None, b"17": 17, b"[1, b'a']": [1, b"a"], b"{b'name': 1.5}": {"name": 1.5}}
        packets = [mqtt.publish(DETECTION_TOPIC, envelope) for envelope in envelopes]
        for packed in (*map(dxl.msgpack.packb, texts.values()), b"\x91" * 1_010 + b"\0"):
            event = dxl.Event(DETECTION_TOPIC)
            event.payload = b"PAYLOAD"
            packets.append(mqtt.publish(DETECTION_TOPIC, event._to_bytes().replace(b"\xa7PAYLOAD", packed)))
        good = [EventEncoder().packet(detection(n, agent=0), message_id=message_id(n)) for n in range(len(packets))]
        make_publisher(mosquitto).send([each for pair in zip(good, packets, strict=True) for each in pair])
        self.settle(forwarder, 2 * len(packets))
        letters = list(judge.read(topics.dead_letter))
        deep = b"a list that is nested too deep to be shown"
        assert sorted(letter.value for letter in letters) == sorted([*envelopes, *texts, deep])
        assert all(
            letter.headers["reason"] in {"not_json", "not_utf8", "not_an_object", "no_hashes"} for letter in letters
        )
        assert sorted(r.event_id for r in judge.read(topics.detection)) == [
            message_id(n)[1:-1] for n in range(len(good))
        ]

    def test_deafness_is_noticed_within_30_seconds_with_the_times_that_users_have(
        self, fake_fabric: FakeFabric, kafka: KafkaCluster, topics: Topics, make_forwarder: MakeForwarder,
        make_publisher: MakePublisher, judge: Judge,
    ) -> None:  # fmt: skip
        forwarder = make_forwarder(fabric=fake_fabric, kafka=kafka, topics=topics)
        forwarder.start()
        fake_fabric.behaviour = Behaviour.DEAF
        late = f'{RESTARTS}{{reason="canary_late"}}'
        forwarder.wait_until(lambda f: f.metrics()[late] == 1, timeout=30.0, what="the deafness noticed")
        fake_fabric.behaviour = Behaviour.NORMAL
        forwarder.wait_until(lambda f: f.get("/readyz")[0] == 200, timeout=15.0, what="ready again")
        make_publisher(fake_fabric).publish_detections(range(50))
        forwarder.wait_until(lambda f: f.ledger()["published"] == 50, timeout=15.0)
        judge.verdict(range(50)).assert_exactly_once()
        assert forwarder.ledger()["imbalance"] == 0
