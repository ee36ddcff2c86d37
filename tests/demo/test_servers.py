"""The embedded servers: the real clients work with them, and nothing of them is left behind."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.waiting import wait_until
from tie_forwarder.demo.certificates import Authority
from tie_forwarder.demo.fabric import EmbeddedFabric
from tie_forwarder.demo.servers import EmbeddedKafka, write_dxlclient_config
from tie_forwarder.errors import ForwarderError
from tie_forwarder.events.detection import DETECTION
from tie_forwarder.events.message import Message
from tie_forwarder.kafka.queries import OutputTail, create_topics, wait_until_answering
from tie_forwarder.receiver.short_lived import connected_client


@pytest.fixture
def fabric(authority: Authority, tmp_path: Path) -> Iterator[EmbeddedFabric]:
    fabric = EmbeddedFabric(authority=authority, identity=authority.issue("embedded"), directory=tmp_path)
    fabric.start()
    try:
        fabric.wait_until_serving()
        yield fabric
    finally:
        fabric.stop()


def client_config(fabric: EmbeddedFabric, authority: Authority, directory: Path) -> Path:
    return write_dxlclient_config(
        directory / "dxlclient.config",
        identity=authority.issue("client"),
        ca_file=authority.ca_file,
        brokers=[(fabric.host, fabric.port)],
    )


def test_the_fabric_carries_two_hundred_events_a_second_in_silence(
    fabric: EmbeddedFabric, authority: Authority, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = client_config(fabric, authority, tmp_path)
    received: list[Message] = []
    with connected_client(config) as receiver, connected_client(config) as sender:
        receiver.receive(["detection"], received.append)
        started = time.monotonic()
        for number in range(400):
            sender.publish(DETECTION.topic, b"%d" % number)
        wait_until(lambda: len(received) == 400, timeout=10, what=lambda: f"{len(received)} of 400 events")
        assert 400 / (time.monotonic() - started) > 200
    assert [message.payload for message in received] == [b"%d" % number for number in range(400)]
    assert capfd.readouterr() == ("", "")


def test_the_fabric_refuses_a_client_of_another_authority(
    fabric: EmbeddedFabric, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger", common_name="another CA")
    config = write_dxlclient_config(
        tmp_path / "stranger.config",
        identity=stranger.issue("stranger"),
        ca_file=authority.ca_file,
        brokers=[(fabric.host, fabric.port)],
    )
    with pytest.raises(ForwarderError, match="cannot connect with") as raised, connected_client(config):
        pass
    assert "trusts this certificate" in raised.value.remedy


def test_a_lost_fabric_is_noticed(fabric: EmbeddedFabric, authority: Authority, tmp_path: Path) -> None:
    with connected_client(client_config(fabric, authority, tmp_path)) as client:
        fabric.stop()
        assert client.lost.wait(10)
        with pytest.raises(ForwarderError, match="connection to the fabric was lost"):
            client.publish(DETECTION.topic, b"{}")


def test_an_absent_fabric_is_one_sentence(authority: Authority, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    config = write_dxlclient_config(
        tmp_path / "dxlclient.config",
        identity=authority.issue("client"),
        ca_file=authority.ca_file,
        brokers=[("127.0.0.1", port)],
    )
    with pytest.raises(ForwarderError, match=f"127.0.0.1:{port}: Connection refused"), connected_client(config):
        pass


def test_a_silent_fabric_costs_the_time_limit_and_no_more(authority: Authority, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = write_dxlclient_config(
            tmp_path / "dxlclient.config",
            identity=authority.issue("client"),
            ca_file=authority.ca_file,
            brokers=[("127.0.0.1", silent.getsockname()[1])],
        )
        started = time.monotonic()
        with pytest.raises(ForwarderError, match="no answer in time"), connected_client(config, 1.0):
            pass
        assert time.monotonic() - started < 5


def test_missing_files_are_named_before_anything_connects(tmp_path: Path) -> None:
    with pytest.raises(ForwarderError, match="does not exist"), connected_client(tmp_path / "absent.config"):
        pass


def test_kafka_serves_topics_to_a_tail(tmp_path: Path) -> None:
    kafka = EmbeddedKafka(directory=tmp_path)
    kafka.start()
    try:
        kafka.wait_until_serving()
        create_topics(kafka.connection, ["one", "two"], partitions=2)
        create_topics(kafka.connection, ["one", "two"])
        with OutputTail(connection=kafka.connection, topics=["one", "two"]) as tail:
            assert tail.poll(0.1) == []
        with pytest.raises(ForwarderError, match="the topic three does not exist"):
            OutputTail(connection=kafka.connection, topics=["three"]).__enter__()
    finally:
        kafka.stop()
    host, _, port = kafka.address.partition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=1)


def test_without_its_package_the_embedded_kafka_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(ForwarderError, match="not installed") as raised:
        EmbeddedKafka(directory=tmp_path, package="no_such_package").start()
    assert "--kafka HOST:PORT" in raised.value.remedy


def test_a_kafka_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ForwarderError, match=f"Kafka at {address}"):
        wait_until_answering({"bootstrap_servers": [address]}, timeout_seconds=0.5)
