"""Kafka runs as the tests want it, and the judge counts what stands in it."""

from __future__ import annotations

from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, TopicAuthorizationFailedError

from tests.conftest import MakeKafka
from tests.harness.detections import message_id, number_of
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.properties import Security
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tie_forwarder.demo.certificates import Authority


def producer(cluster: KafkaCluster, **settings: Any) -> Any:
    """A producer that gives up soon."""
    options = {
        "bootstrap_servers": cluster.bootstrap_servers,
        "bootstrap_timeout_ms": 3_000,
        "max_block_ms": 5_000,
        "reconnect_backoff_max_ms": 200,
        "acks": "all",
    }
    return KafkaProducer(**(options | settings))


class TestKafka:
    def test_carries_records(self, kafka: KafkaCluster, topics: Topics) -> None:
        out = producer(kafka)
        out.send(topics.detection, key=b"k", value=b"v", headers=[("ce_id", b"1")]).get(timeout=10)
        out.close()

        consumer = KafkaConsumer(
            topics.detection, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest", group_id="g"
        )
        record = next(consumer)
        consumer.close()
        assert (record.key, record.value, record.headers) == (b"k", b"v", [("ce_id", b"1")])

    def test_answers_nothing_while_it_hangs_and_keeps_its_records_when_killed(self, own_kafka: KafkaCluster) -> None:
        topics = Topics.unique().create(own_kafka.administration, partitions=1)
        out = producer(own_kafka)
        out.send(topics.detection, b"before").get(timeout=10)
        own_kafka.hang()
        meanwhile = out.send(topics.detection, b"hung")
        with pytest.raises(KafkaTimeoutError):
            meanwhile.get(timeout=0.5)
        own_kafka.resume()
        meanwhile.get(timeout=20)

        own_kafka.kill()
        own_kafka.restart()

        out.send(topics.detection, b"restarted").get(timeout=20)
        out.close()
        records = Judge(bootstrap_servers=own_kafka.bootstrap_servers, topics=topics).read(topics.detection)
        assert [record.value for record in records] == [b"before", b"hung", b"restarted"]

    @pytest.mark.long
    def test_three_nodes_outlive_one(self, make_kafka: MakeKafka) -> None:
        cluster = make_kafka(nodes=3)
        cluster.administration.create_topic("t", partitions=3)
        out = producer(cluster)
        for partition in range(3):
            out.send("t", b"before", partition=partition).get(timeout=10)

        cluster.nodes[0].kill()

        for partition in range(3):
            out.send("t", b"after", partition=partition).get(timeout=30)
        out.close()
        wait_until(lambda: cluster.administration.living_brokers() == 2, timeout=20, what="two brokers alive")

    def test_topics_grow_shrink_and_vanish(self, kafka: KafkaCluster, topics: Topics) -> None:
        administration = kafka.administration

        administration.add_partitions(topics.detection, total=5)
        administration.set_topic_config(topics.detection, max_message_bytes=1_000)
        administration.delete_topic(topics.first_instance)

        assert administration.partitions(topics.detection) == 5
        assert administration.partitions(topics.first_instance) == 0
        out = producer(kafka)
        with pytest.raises(KafkaError, match=r"(?i)too.?large"):
            out.send(topics.detection, b"x" * 2_000).get(timeout=10)
        out.close()

    def test_a_quota_slows_a_producer_down(self, kafka: KafkaCluster, topics: Topics) -> None:
        kafka.administration.set_quota(client_id="greedy", producer_byte_rate=80_000.0)
        out = producer(kafka, client_id="greedy")

        # Kafka counts over ten seconds: 90,000 bytes a second.
        out.send(topics.detection, b"x" * 900_000).get(timeout=20)

        assert out.metrics()["producer-metrics"]["throttle-time-max"] > 0
        kafka.administration.set_quota(client_id="greedy", producer_byte_rate=None)
        out.close()

    def test_logs_in_by_password_and_minds_rights(self, make_kafka: MakeKafka, authority: Authority) -> None:
        security = Security(protocol="SASL_SSL", users={"bob": "right"}, authority=authority)
        cluster = make_kafka(security=security, acls=True)
        cluster.administration.create_topic("t")

        with pytest.raises(KafkaTimeoutError):
            producer(cluster, bootstrap_timeout_ms=1_000, **security.client_settings(user="bob", password="wrong"))
        for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
            cluster.administration.grant("bob", "write", name="t")
            out = producer(cluster, **security.client_settings(user="bob", mechanism=mechanism))
            out.send("t", b"allowed").get(timeout=10)
            cluster.administration.revoke("bob", "write", name="t")
            with pytest.raises(TopicAuthorizationFailedError):
                out.send("t", b"forbidden").get(timeout=10)
            out.close()

    def test_knows_clients_by_their_certificate(self, make_kafka: MakeKafka, authority: Authority) -> None:
        security = Security(protocol="SSL", authority=authority, client_certificates=True)
        cluster = make_kafka(security=security, acls=True)
        cluster.administration.create_topic("t")
        cluster.administration.grant("alice", "write", name="t")

        out = producer(cluster, **security.client_settings(identity=authority.issue("alice")))
        out.send("t", b"allowed").get(timeout=10)
        out.close()
        with pytest.raises(KafkaTimeoutError):
            producer(cluster, bootstrap_timeout_ms=1_000, **security.client_settings())


class TestJudge:
    def write(self, out: Any, topics: Topics, *numbers: int, topic: str | None = None) -> None:
        for number in numbers:
            headers = [("ce_id", message_id(number).strip("{}").encode())]
            out.send(topic or topics.detection, key=b"agent", value=b"{}", headers=headers, partition=0)
        out.flush()

    def test_is_content_when_every_number_stands_once(self, kafka: KafkaCluster, topics: Topics, judge: Judge) -> None:
        out = producer(kafka, transactional_id=topics.detection)
        out.init_transactions()
        out.begin_transaction()
        self.write(out, topics, *range(100, 200))
        out.abort_transaction()
        out.begin_transaction()
        self.write(out, topics, *range(100))
        out.commit_transaction()
        out.close()

        judge.verdict(range(100)).assert_exactly_once()
        assert len(list(judge.read(topics.detection, isolation="read_uncommitted"))) == 200

    def test_takes_a_replayed_letter_for_its_event_and_a_marker_without_one_for_a_loss(
        self, kafka: KafkaCluster, topics: Topics, judge: Judge
    ) -> None:
        out = producer(kafka)
        self.write(out, topics, 1, 2, 3, topic=topics.dead_letter)
        for number in (1, 2):
            headers = [("ce_id", message_id(number).strip("{}").encode()), ("replayed_at", b"now")]
            out.send(topics.dead_letter, b"", headers=headers).get(timeout=10)
        self.write(out, topics, 1)
        out.close()

        judge.verdict([1, 3]).assert_exactly_once(dead_letters=1)
        assert judge.verdict([1, 2, 3]).lost == [2]

    def test_finds_what_is_lost_doubled_disordered_strange_or_dead(
        self, kafka: KafkaCluster, topics: Topics, judge: Judge
    ) -> None:
        out = producer(kafka)
        self.write(out, topics, 0, 1, 1, 3, 2, 99)
        self.write(out, topics, 5, topic=topics.dead_letter)
        out.close()

        verdict = judge.verdict(range(6))

        assert verdict.lost == [4]
        assert [number_of(event) for event in verdict.duplicated] == [1]
        assert verdict.out_of_order_per_key == {b"agent": [(3, 2)]}
        assert [number_of(event) for event in verdict.unexpected] == [99]
        assert [number_of(letter.event_id) for letter in verdict.dead_letters] == [5]
        with pytest.raises(AssertionError, match=r"lost: 1 \(4\)"):
            verdict.assert_nothing_lost(dead_letters=1)
        with pytest.raises(AssertionError, match=r"dead letters: 1"):
            judge.verdict([0, 1, 2, 3, 5]).assert_nothing_lost()
        judge.verdict([0, 1, 2, 3, 5]).assert_nothing_lost(dead_letters=1)
        with pytest.raises(AssertionError, match=r"duplicated: 1 \(.*x2\)"):
            judge.verdict([0, 1, 2, 3, 5]).assert_exactly_once(dead_letters=1)
