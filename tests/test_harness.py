"""The servers of the tests do what the tests rely on."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from dxlclient.callbacks import EventCallback
from dxlclient.client import DxlClient
from dxlclient.client_config import DxlClientConfig
from dxlclient.message import Event, Message
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, TopicAuthorizationFailedError

from tests.conftest import MakeKafka, MakePublisher
from tests.harness import mqtt
from tests.harness.detections import DETECTION_TOPIC, agent_guid, detection, message_id, number_of
from tests.harness.fabric import Fabric
from tests.harness.fake_fabric import GARBAGE, Behaviour, FakeFabric
from tests.harness.forwarder import Forwarder, parse_metrics
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.installation import Installation
from tests.harness.kafka.properties import Security
from tests.harness.load import BackgroundLoad, EventEncoder
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import MqttClient
from tests.harness.provision import missing
from tests.harness.server_process import ServerProcess, processes_left
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tie_forwarder.demo.certificates import Authority

REPOSITORY = Path(__file__).parents[1]


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
    def test_sends_garbage_that_kills_the_network_thread_of_dxlclient(
        self, fake_fabric: FakeFabric, *, at_once: bool
    ) -> None:
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

    def test_keeps_its_records_and_its_port_when_killed(self, own_kafka: KafkaCluster) -> None:
        topics = Topics.unique().create(own_kafka.administration, partitions=1)
        out = producer(own_kafka)
        out.send(topics.detection, b"before").get(timeout=10)
        own_kafka.kill()

        own_kafka.restart()

        out.send(topics.detection, b"after").get(timeout=20)
        out.close()
        records = Judge(bootstrap_servers=own_kafka.bootstrap_servers, topics=topics).read(topics.detection)
        assert [record.value for record in records] == [b"before", b"after"]

    def test_answers_nothing_while_it_hangs_and_everything_afterwards(self, own_kafka: KafkaCluster) -> None:
        own_kafka.administration.create_topic("t")
        out = producer(own_kafka)
        out.send("t", b"before").get(timeout=10)
        own_kafka.hang()
        future = out.send("t", b"meanwhile")
        with pytest.raises(KafkaTimeoutError):
            future.get(timeout=0.5)

        own_kafka.resume()

        future.get(timeout=20)
        out.close()

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
        kafka.administration.set_quota(client_id="greedy", producer_byte_rate=10_000.0)
        out = producer(kafka, client_id="greedy")

        for _ in range(3):
            out.send(topics.detection, b"x" * 100_000).get(timeout=20)

        assert out.metrics()["producer-metrics"]["produce-throttle-time-max"] > 0
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


class TestServerProcess:
    def server(self, directory: Path, program: str, *, ready: bool = True) -> ServerProcess:
        return ServerProcess(
            name="server",
            command=[sys.executable, "-c", program],
            directory=directory,
            ready=lambda: ready and "ready" in self.log_of(directory),
            start_timeout=5.0,
        )

    def log_of(self, directory: Path) -> str:
        return (directory / "server.log").read_text()

    def test_quotes_the_log_of_a_server_that_does_not_start(self, tmp_path: Path) -> None:
        server = self.server(tmp_path, "raise SystemExit('no such option: colour')")

        with pytest.raises(RuntimeError, match=r"ended with 1 .*\n.*no such option: colour"):
            server.start()

    def test_hears_of_a_terminated_server_how_it_ended(self, tmp_path: Path) -> None:
        program = "import signal; print('ready', flush=True); signal.pause()"

        with self.server(tmp_path, program) as server:
            assert server.terminate() == -signal.SIGTERM
            assert server.exit_code == -signal.SIGTERM
            server.restart()
            assert server.alive
        assert server.wait(timeout=0) == -signal.SIGKILL

    def test_finds_what_a_killed_server_left_behind(self, tmp_path: Path) -> None:
        program = (
            "import signal, subprocess, sys\n"
            "subprocess.Popen([sys.executable, '-c', 'import signal; print(\"ready\", flush=True); signal.pause()'])\n"
            "signal.pause()"
        )
        before = {process.pid for process in processes_left()}
        with self.server(tmp_path, program):
            pass

        orphans = [process for process in processes_left() if process.pid not in before]

        assert len(orphans) == 1
        orphans[0].kill()
        wait_until(lambda: not orphans[0].is_running(), timeout=10, what="the orphan gone")

    def test_dies_with_the_process_that_started_it(self, tmp_path: Path) -> None:
        program = (
            "from pathlib import Path\n"
            "import signal, sys\n"
            "from tests.harness.server_process import ServerProcess\n"
            "server = ServerProcess(name='sleeper', command=['sleep', '600'], directory=Path(sys.argv[1]),\n"
            "                       ready=lambda: True)\n"
            "server.start()\n"
            "print(server.pid, flush=True)\n"
            "signal.pause()"
        )
        starter = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )
        assert starter.stdout is not None
        sleeper = psutil.Process(int(starter.stdout.readline()))

        starter.kill()
        starter.communicate()

        wait_until(lambda: not sleeper.is_running(), timeout=10, what="the sleeper gone")


STAND_IN = """
import http.server, json, subprocess, sys, yaml
config = yaml.safe_load(open(sys.argv[sys.argv.index("--config") + 1]))
for part in ("receiver", "publisher"):
    subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()", f"tie_forwarder.{part}"])
class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        pages = {"/readyz": "yes", "/metrics": 'events_total{kind="detection",a="b"} 3\\nup 1\\n',
                 "/status": json.dumps({"state": "ok", "ledger": {"in_spool": 0}, "config": config})}
        self.send_response(200 if self.path in pages else 503)
        self.end_headers()
        self.wfile.write(pages.get(self.path, "").encode())
host, port = config["http"]["listen"].split(":")
http.server.ThreadingHTTPServer((host, int(port)), Pages).serve_forever()
"""


class TestForwarder:
    @pytest.fixture
    def forwarder(self, tmp_path: Path) -> Iterator[Forwarder]:
        """A program that keeps to the contract of the command line, the configuration and the pages."""
        forwarder = Forwarder(
            directory=tmp_path,
            dxl_config=tmp_path / "dxlclient.config",
            bootstrap_servers=["127.0.0.1:1"],
            topics=Topics.unique("stand-in"),
            options={"spool": {"max_bytes": "1MiB"}},
            program=(sys.executable, "-c", STAND_IN),
        )
        with forwarder:
            yield forwarder

    def test_is_configured_as_its_users_would(self, forwarder: Forwarder) -> None:
        config = forwarder.status()["config"]

        assert config["dxl"]["config_file"].endswith("dxlclient.config")
        assert config["kafka"]["topics"]["dead_letter"].startswith("stand-in-")
        assert config["spool"] == {"directory": str(forwarder.spool_directory), "max_bytes": "1MiB"}

    def test_is_asked_by_http(self, forwarder: Forwarder) -> None:
        assert forwarder.ledger() == {"in_spool": 0}
        assert forwarder.metrics() == {'events_total{a="b",kind="detection"}': 3.0, "up": 1.0}
        assert forwarder.get("/elsewhere")[0] == 503
        forwarder.wait_until_drained(timeout=5)
        with pytest.raises(TimeoutError, match=r"blue; status of forwarder: .*\"state\": \"ok\""):
            forwarder.wait_until(lambda f: f.status()["state"] == "blue", timeout=0.1, what="blue")

    def test_hangs_and_dies_in_parts_or_as_a_whole(self, forwarder: Forwarder) -> None:
        forwarder.hang("receiver")
        assert forwarder.part("receiver").status() == psutil.STATUS_STOPPED
        forwarder.resume("receiver")
        wait_until(
            lambda: forwarder.part("receiver").status() != psutil.STATUS_STOPPED, timeout=5, what="receiver resumed"
        )
        publisher = forwarder.part("publisher")
        forwarder.kill_part("publisher")
        assert not publisher.is_running()
        receiver = forwarder.part("receiver")

        forwarder.kill_all()

        assert not forwarder.alive
        assert not receiver.is_running()

    def test_names_samples_as_prometheus_does(self) -> None:
        assert parse_metrics('# TYPE a counter\na_total{x="1"} 2\n') == {'a_total{x="1"}': 2.0}


class TestProvisioning:
    def test_has_left_nothing_to_do(self, provisioned: None) -> None:
        assert missing() == []

    def test_is_complete_only_once_its_stamp_is_written(self, tmp_path: Path) -> None:
        installation = Installation(tmp_path)
        assert not installation.complete

        installation.mark_complete()

        assert installation.complete

    def test_says_in_one_sentence_what_it_cannot_install(self, tmp_path: Path) -> None:
        environment = {**os.environ, "PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}

        done = subprocess.run(
            [sys.executable, "-m", "tests.harness.provision"],
            cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

        assert done.returncode == 1
        assert "maven" in done.stderr
        assert "install" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_wait_names_what_did_not_happen() -> None:
    never = threading.Event()

    with pytest.raises(TimeoutError, match=r"not within 0\.05 s: the event"):
        wait_until(never.is_set, timeout=0.05, what="the event")
