"""What three brokers do to their clients: replicas are missing, leaders move, nodes restart one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.deliveries import Contender, side_by_side, start
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import BackgroundLoad
from tests.harness.mosquitto import Mosquitto
from tests.harness.waiting import wait_until
from tie_forwarder.cli import invoke
from tie_forwarder.errors import ForwarderError
from tie_forwarder.kafka.queries import OutputReader

RATE = 300


@pytest.fixture(scope="module")
def three(provisioned: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three nodes; each test leaves all of them alive."""
    with KafkaCluster(directory=tmp_path_factory.mktemp("three"), nodes=3) as cluster:
        yield cluster


def partitions(cluster: KafkaCluster, topic: str) -> list[dict[str, Any]]:
    """The topic's partitions as Kafka describes them; none while nobody answers."""
    try:
        client = KafkaAdminClient(bootstrap_servers=cluster.internal_servers, bootstrap_timeout_ms=2_000)
    except KafkaError:
        return []
    try:
        described: list[dict[str, Any]] = client.describe_topics([topic])[0]["partitions"]
    except KafkaError:
        return []
    finally:
        client.close()
    return described


def leaders(cluster: KafkaCluster, topic: str) -> set[int]:
    return {partition["leader_id"] for partition in partitions(cluster, topic)}


def wait_until_replicated(cluster: KafkaCluster, topic: str) -> None:
    def in_sync() -> bool:
        described = partitions(cluster, topic)
        return bool(described) and all(len(partition["isr_nodes"]) == 3 for partition in described)

    wait_until(in_sync, timeout=40.0, what="all replicas in sync")


def assert_no_kill_loop(contender: Contender, *, most: int) -> None:
    metrics = contender.forwarder.metrics()
    replaced = sum(v for name, v in metrics.items() if "publisher_restarts_total" in name and "start" not in name[-9:])
    assert replaced <= most, f"{contender.delivery}: {replaced} replaced\n{contender.forwarder.log()[-3000:]}"


@pytest.mark.long
def test_too_few_replicas_are_named_and_waited_for(
    mosquitto: Mosquitto, three: KafkaCluster, make_forwarder: MakeForwarder, make_publisher: MakePublisher,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=three, configs={"min.insync.replicas": 3})
    start(contenders)
    publisher = make_publisher(mosquitto)
    publisher.publish_detections(range(100))
    for contender in contenders:
        contender.settle(100)
    three.nodes[2].stop()
    publisher.publish_detections(range(100, 200))
    for contender in contenders:
        contender.forwarder.wait_until(
            lambda f: (f.status()["state"], f.status()["reason"]) == ("buffering", "not_enough_replicas"),
            timeout=35.0,
            what="not_enough_replicas",
        )
        assert (
            "2 replicas in sync, and min.insync.replicas is 3" in contender.forwarder.status()["problems"][0]["detail"]
        )
        assert contender.forwarder.ledger()["in_spool"] == 100
        assert invoke(["check", "--connect", "--config", str(contender.forwarder.config_file)]) == 1
        shown = capsys.readouterr().out
        assert "min.insync.replicas=3, and only 2 replicas are in sync: nothing can be written" in shown
        assert "lack a replica in sync" in shown
    three.nodes[2].start()
    back_at = time.monotonic()
    for contender in contenders:
        contender.settle(200)
        print(f"{contender.delivery}: delivered {time.monotonic() - back_at:.1f} s after the replica was back")
        contender.assert_delivered(range(200), outcomes_known=contender.delivery == "at_least_once")
        assert_no_kill_loop(contender, most=4)


@pytest.mark.long
def test_a_leader_is_killed_and_then_every_node_restarts_under_load(
    mosquitto: Mosquitto, three: KafkaCluster, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=three)
    start(contenders)
    load = BackgroundLoad(publisher=make_publisher(mosquitto), numbers=range(RATE * 120), rate=RATE)
    load.start()
    for contender in contenders:
        contender.forwarder.wait_until(lambda f: f.ledger()["published"] > RATE, timeout=30.0, what="a load under way")
    topic = contenders[0].topics.detection
    led = min(leaders(three, topic))
    three.nodes[led - 1].kill()
    killed_at = time.monotonic()
    wait_until(
        lambda: leaders(three, topic) - {led} == leaders(three, topic) != set(), timeout=30.0, what="new leaders"
    )
    for contender in contenders:
        wait_until_published_more(contender)
        print(f"{contender.delivery}: records again {time.monotonic() - killed_at:.1f} s after its leader's death")
    three.nodes[led - 1].start()
    for node in three.nodes:
        wait_until_replicated(three, topic)
        node.terminate(timeout=60.0)
        node.start()
    three.wait_ready()
    numbers = load.finish(early=True)
    for contender in contenders:
        contender.settle(len(numbers))
        contender.assert_delivered(numbers, outcomes_known=False)
        assert_no_kill_loop(contender, most=12)


def wait_until_published_more(contender: Contender) -> None:
    before = contender.forwarder.ledger()["published"]
    contender.forwarder.wait_until(lambda f: f.ledger()["published"] > before + RATE, timeout=40.0, what="more")


@pytest.mark.long
def test_a_partition_without_a_leader_is_named_with_the_broker_that_is_missing(
    mosquitto: Mosquitto, three: KafkaCluster, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    at_least_once, exactly_once = contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=three)
    # What nobody writes to holds up a member that reads it; who reads nothing is held up by what it writes to.
    lost = {
        at_least_once.delivery: at_least_once.topics.detection,
        exactly_once.delivery: exactly_once.topics.dead_letter,
    }
    for topic in lost.values():
        three.administration.delete_topic(topic)
        three.administration.create_topic(topic, replicas=1)
    start(contenders)
    publisher = make_publisher(mosquitto)
    publisher.publish_detections(range(100))
    for contender in contenders:
        contender.settle(100)
    led = {topic: partitions(three, topic)[0]["leader_id"] for topic in lost.values()}
    for first, contender in zip((100, 200), contenders, strict=True):
        topic = lost[contender.delivery]
        node = three.nodes[led[topic] - 1]
        node.kill()
        publisher.publish_detections(range(first, first + 100))
        expected = f"partition 0 of {topic} has no leader: broker {led[topic]} is missing"
        for restarted in (False, True):
            if restarted:
                contender.forwarder.kill_all()
                contender.forwarder.start()
            contender.forwarder.wait_until(
                lambda f, expected=expected: (  # type: ignore[misc]
                    f.status()["reason"] == "leader_election" and f.status()["problems"][0]["detail"] == expected
                ),
                timeout=40.0,
                what=expected,
            )
            assert "start the missing brokers" in contender.forwarder.status()["remedy"]
        assert "publisher.failed" not in contender.forwarder.log()
        if contender is exactly_once:
            connection = {"bootstrap_servers": three.internal_servers}
            with OutputReader(connection=connection, topics=[contender.topics.detection, topic]) as reader:
                for committed in (True, False):
                    with pytest.raises(ForwarderError, match=f"partition 0 of {topic} has no leader"):
                        reader.ends(committed=committed)
                with pytest.raises(ForwarderError, match="has no leader"):
                    reader.begins(0)
        node.start()
        three.wait_ready()
        contender.settle(contender.forwarder.ledger()["in_spool_at_start"])
