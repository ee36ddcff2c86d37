"""The fabrics of the tests carry what dxlclient sends, and fail on command."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dxlclient.callbacks import EventCallback
from dxlclient.client import DxlClient
from dxlclient.client_config import DxlClientConfig
from dxlclient.message import Event, Message

from tests.conftest import MakePublisher
from tests.harness import mqtt
from tests.harness.detections import DETECTION_TOPIC, agent_guid, detection, message_id, number_of
from tests.harness.fabric import Fabric
from tests.harness.fake_fabric import GARBAGE, Behaviour, FakeFabric
from tests.harness.load import BackgroundLoad, EventEncoder
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import MqttClient
from tests.harness.waiting import wait_until
from tie_forwarder.demo.certificates import Authority


class Received(EventCallback):  # type: ignore[misc]
    """Keeps the events that dxlclient delivers."""

    def __init__(self) -> None:
        super().__init__()
        self.events: queue.Queue[Any] = queue.Queue()

    def on_event(self, event: Any) -> None:
        self.events.put(event)


@pytest.fixture(params=["mosquitto", "fake_fabric"])
def fabric(request: pytest.FixtureRequest) -> Fabric:
    """Each fabric, under the same tests."""
    found: Fabric = request.getfixturevalue(request.param)
    return found


@contextlib.contextmanager
def dxl_client(fabric: Fabric, name: str) -> Iterator[Any]:
    """A connected client of the real library."""
    config = DxlClientConfig.create_dxl_config_from_file(str(fabric.client_config(name)))
    config.connect_retries = 1
    with DxlClient(config) as client:
        client.connect()
        yield client


class TestFabric:
    def test_carries_the_events_of_dxlclient_unchanged(self, fabric: Fabric) -> None:
        received = Received()
        event = Event(DETECTION_TOPIC)
        event.payload = detection(1, agent=1) + b"\0"

        with dxl_client(fabric, "subscriber") as subscriber, dxl_client(fabric, "publisher") as publisher:
            subscriber.add_event_callback(DETECTION_TOPIC, received)
            publisher.send_event(event)
            arrived = received.events.get(timeout=10)

        assert (arrived.message_id, arrived.payload) == (event.message_id, event.payload)

    def test_delivers_to_the_publisher_itself(self, fabric: Fabric) -> None:
        with MqttClient(fabric=fabric, name="canary") as client:
            assert client.subscribe("/canary") == [0]
            client.send(mqtt.publish("/canary", b"tweet"))

            assert client.message() == ("/canary", b"tweet")

    def test_refuses_clients_without_a_certificate(self, fabric: Fabric, tmp_path: Path) -> None:
        stranger = Fabric(directory=tmp_path, authority=Authority(tmp_path / "foreign"), port=fabric.port)
        stranger.authority.ca_file.write_bytes(fabric.authority.ca_file.read_bytes())

        with pytest.raises(OSError, match=r"(?i)alert|reset|closed|eof|pipe"):
            MqttClient(fabric=stranger, name="stranger").connect()

    def test_reads_twenty_thousand_events_a_second(self, mosquitto: Mosquitto, make_publisher: MakePublisher) -> None:
        publisher = make_publisher(mosquitto)
        packets = [EventEncoder().packet(detection(number, agent=1)) for number in range(20_000)]
        start = time.monotonic()

        publisher.send(packets)

        assert len(packets) / (time.monotonic() - start) > 20_000

    def test_drops_nothing_for_a_subscriber_that_is_slow(
        self, mosquitto: Mosquitto, make_publisher: MakePublisher
    ) -> None:
        with MqttClient(fabric=mosquitto, name="slow") as subscriber:
            subscriber.subscribe(DETECTION_TOPIC)
            make_publisher(mosquitto).publish_detections(range(20_000))

            for number in range(20_000):
                _, data = subscriber.message()
                assert message_id(number).encode() in data

    def test_forgets_its_clients_when_killed_and_serves_new_ones_after_a_restart(self, mosquitto: Mosquitto) -> None:
        with MqttClient(fabric=mosquitto, name="first") as client:
            mosquitto.kill()
            with pytest.raises(OSError, match=r"(?i)closed|reset|eof"):
                client.expect(mqtt.PUBLISH)
        mosquitto.restart()

        with MqttClient(fabric=mosquitto, name="second") as client:
            client.ping()

    def test_answers_nothing_while_it_hangs_and_everything_afterwards(self, mosquitto: Mosquitto) -> None:
        with MqttClient(fabric=mosquitto, name="patient") as client:
            mosquitto.hang()
            with pytest.raises(TimeoutError):
                client.ping(timeout=0.3)
            mosquitto.resume()

            client.expect(mqtt.PINGRESP)


class TestLoad:
    @pytest.mark.parametrize("size", [0, 31, 32, 255, 65_535, 65_536])
    def test_events_are_encoded_as_dxlclient_does(self, size: int) -> None:
        event = Event(DETECTION_TOPIC)
        event.payload = b"x" * size

        assert EventEncoder().message(event.payload, message_id=event.message_id) == event._to_bytes()

    def test_a_detection_has_the_form_of_the_wire_and_a_number_that_comes_back(self) -> None:
        payload = json.loads(detection(7, agent=3))

        assert payload["agentGuid"] == agent_guid(3)
        assert [entry["type"] for entry in payload["hashes"]] == ["md5", "sha1", "sha256"]
        assert payload["name"] == "SAMPLE-7.EXE"
        assert number_of(message_id(7).strip("{}")) == 7
        assert number_of("68125cd6-a5d8-11e6-348e-000c29663178") is None

    def test_events_go_out_at_the_pace_that_was_asked_for(
        self, fake_fabric: FakeFabric, make_publisher: MakePublisher
    ) -> None:
        publisher = make_publisher(fake_fabric)
        start = time.monotonic()

        assert publisher.publish([b"{}"] * 500, rate=1_000) == 500

        assert 0.49 <= time.monotonic() - start < 2

    def test_a_load_in_the_background_can_be_ended_early(
        self, fake_fabric: FakeFabric, make_publisher: MakePublisher
    ) -> None:
        with MqttClient(fabric=fake_fabric, name="subscriber") as subscriber:
            subscriber.subscribe(DETECTION_TOPIC)
            load = BackgroundLoad(publisher=make_publisher(fake_fabric), numbers=range(100, 10_000), rate=1_000)
            load.start()
            wait_until(lambda: load.sent >= 20, timeout=10, what="20 events sent")

            published = load.finish(early=True)

            numbers = [number_of(Message._from_bytes(subscriber.message()[1]).message_id) for _ in published]
        assert numbers == list(published)
        assert 20 <= len(published) < 9_900


class TestFakeFabric:
    def test_drops_connections_right_after_the_connack(self, fake_fabric: FakeFabric) -> None:
        fake_fabric.behaviour = Behaviour.DROP_AFTER_CONNACK

        with MqttClient(fabric=fake_fabric, name="client") as client, pytest.raises(OSError, match="closed"):
            client.expect(mqtt.SUBACK)

        assert fake_fabric.connects == 1

    def test_refuses_subscriptions(self, fake_fabric: FakeFabric) -> None:
        fake_fabric.behaviour = Behaviour.REFUSE_SUBSCRIPTIONS

        with MqttClient(fabric=fake_fabric, name="client") as client:
            assert client.subscribe("/a", "/b") == [0x80, 0x80]

        assert fake_fabric.subscriptions == set()

    @pytest.mark.parametrize("at_once", [False, True])
    def test_sends_a_malformed_packet(self, fake_fabric: FakeFabric, *, at_once: bool) -> None:
        if not at_once:
            fake_fabric.behaviour = Behaviour.GARBAGE
        with MqttClient(fabric=fake_fabric, name="client") as client:
            client.subscribe("/a")
            if at_once:
                fake_fabric.send_garbage()

            assert mqtt.packet(mqtt.PUBLISH, client.expect(mqtt.PUBLISH).body) == GARBAGE

    def test_accepts_tcp_and_stays_silent(self, fake_fabric: FakeFabric) -> None:
        fake_fabric.behaviour = Behaviour.SILENT

        tls = fake_fabric.client_tls("client")
        connection = socket.create_connection(("127.0.0.1", fake_fabric.port), timeout=0.3)
        with connection, pytest.raises(TimeoutError):
            tls.wrap_socket(connection, server_hostname="localhost")

    def test_goes_deaf_while_it_still_answers_pings_and_recovers(self, fake_fabric: FakeFabric) -> None:
        with MqttClient(fabric=fake_fabric, name="client") as client:
            client.subscribe("/a")
            fake_fabric.behaviour = Behaviour.DEAF
            client.send(mqtt.publish("/a", b"unheard"))
            client.ping()
            fake_fabric.behaviour = Behaviour.NORMAL
            client.send(mqtt.publish("/a", b"heard"))

            assert client.message() == ("/a", b"heard")

    def test_is_deaf_for_one_topic_only(self, fake_fabric: FakeFabric) -> None:
        fake_fabric.deaf_topics = {"/a"}

        with MqttClient(fabric=fake_fabric, name="client") as client:
            client.subscribe("/a", "/b")
            client.send(mqtt.publish("/a", b"unheard") + mqtt.publish("/b", b"heard"))

            assert client.message() == ("/b", b"heard")

    def test_comes_back_on_the_same_port_after_it_was_stopped(self, fake_fabric: FakeFabric) -> None:
        client = MqttClient(fabric=fake_fabric, name="client")
        client.connect()
        fake_fabric.stop()
        with pytest.raises(OSError, match=r"(?i)closed|reset|eof"):
            client.ping()
        fake_fabric.start()

        client.connect()
        client.ping()
        client.close()
