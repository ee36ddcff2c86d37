"""The image forwards: a real fabric, a real Kafka, a read-only root, no shell, no right but to write its volume."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest
import yaml

from tests.conftest import MakeKafka, MakePublisher
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.properties import Security
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tests.image.conftest import MakeContained
from tests.image.container import ETC, ContainedForwarder, Container, provision
from tests.image.image import Image

pytestmark = pytest.mark.image

_START_SECONDS = 3.0


def test_an_event_arrives_in_kafka_and_sigterm_drains(
    make_contained: MakeContained,
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    topics: Topics,
    judge: Judge,
    make_publisher: MakePublisher,
) -> None:
    forwarder = make_contained(fabric=mosquitto, kafka=kafka, topics=topics)
    forwarder.start()
    publisher = make_publisher(mosquitto)
    numbers = range(1, 501)
    publisher.publish_detections(numbers)
    forwarder.wait_until(lambda f: f.ledger()["received"] == 500, timeout=30.0, what="all received")
    assert forwarder.terminate() == 0
    judge.verdict(numbers).assert_exactly_once()


def test_it_is_subscribed_within_three_seconds(
    make_contained: MakeContained, mosquitto: Mosquitto, kafka: KafkaCluster, topics: Topics
) -> None:
    forwarder = make_contained(fabric=mosquitto, kafka=kafka, topics=topics)
    forwarder.container.prepare()
    # The best of three: what else the machine does is not the image's.
    seconds = min(_seconds_to_start(forwarder) for _ in range(3))
    print(f"image: subscribed {seconds:.2f} s after the start of the container")
    assert seconds <= _START_SECONDS


def _seconds_to_start(forwarder: ContainedForwarder) -> float:
    began = time.monotonic()
    forwarder.start()
    seconds = time.monotonic() - began
    assert forwarder.terminate() == 0
    return seconds


def test_the_health_check_says_yes_then_no_when_a_loop_hangs(
    make_contained: MakeContained, mosquitto: Mosquitto, kafka: KafkaCluster, topics: Topics
) -> None:
    forwarder = make_contained(fabric=mosquitto, kafka=kafka, topics=topics)
    forwarder.start()
    assert forwarder.container.health() == 0
    main = _main_of(forwarder.pid)
    main.send_signal(signal.SIGSTOP)
    assert forwarder.container.health() == 1
    main.send_signal(signal.SIGCONT)
    wait_until(lambda: forwarder.container.health() == 0, timeout=20.0, what="well again")


def test_a_wrong_password_for_kafka_is_a_state_with_its_remedy_and_no_end(
    make_contained: MakeContained, mosquitto: Mosquitto, make_kafka: MakeKafka
) -> None:
    kafka = make_kafka(security=Security(protocol="SASL_PLAINTEXT", users={"tie-forwarder": "right-password-4410"}))
    sasl = {"mechanism": "SCRAM-SHA-512", "username": "tie-forwarder", "password_file": "kafka-password"}
    forwarder = make_contained(
        fabric=mosquitto,
        kafka=kafka,
        topics=Topics.unique().create(kafka.administration),
        options={"kafka": {"security": {"protocol": "sasl_plaintext", "sasl": sasl}}},
    )
    secret = forwarder.container.volumes["/run/secrets"] / "kafka-password"
    secret.parent.mkdir(parents=True)
    secret.write_text("wrong-password-4410\n", encoding="utf-8")
    forwarder.start()
    forwarder.wait_until(lambda f: f.status()["state"] == "blocked", timeout=30.0, what="blocked")
    assert "password" in forwarder.status()["remedy"]
    assert "wrong-password-4410" not in forwarder.log()
    # Docker and Kubernetes put the new content in place of the old one; no restart is needed.
    secret.write_text("right-password-4410\n", encoding="utf-8")
    forwarder.wait_until(lambda f: f.status()["state"] == "ok", timeout=60.0, what="ok with the right password")


def _main_of(runc: int) -> psutil.Process:
    (main,) = [child for child in psutil.Process(runc).children() if "tie-forwarder" in " ".join(child.cmdline())]
    return main


class TestFaultsOfConfiguration:
    """Each ends in one sentence and 78, which no restart policy can mistake for success."""

    def test_no_configuration_at_all(self, image: Image, tmp_path: Path) -> None:
        self._ends_with_78(Container(image=image, directory=tmp_path), "there is no configuration file")

    def test_a_missing_dxlclient_config(self, image: Image, mosquitto: Mosquitto, tmp_path: Path) -> None:
        container = self._container(image, mosquitto, tmp_path)
        (container.volumes[ETC] / "dxlclient.config").unlink()
        self._ends_with_78(container, "dxlclient.config")

    def test_a_key_that_the_user_may_not_read(self, image: Image, mosquitto: Mosquitto, tmp_path: Path) -> None:
        container = self._container(image, mosquitto, tmp_path)
        (container.volumes[ETC] / "forwarder.key").chmod(0)
        self._ends_with_78(container, "forwarder.key")

    def test_a_secret_that_is_not_there(self, image: Image, mosquitto: Mosquitto, tmp_path: Path) -> None:
        sasl = {"mechanism": "PLAIN", "username": "tie-forwarder", "password_file": "kafka-password"}
        security = {"protocol": "sasl_plaintext", "sasl": sasl}
        container = self._container(image, mosquitto, tmp_path, {"kafka": {"security": security}})
        self._ends_with_78(container, "kafka.security.sasl.password_file: does not exist")

    def test_a_certificate_of_another_key(self, image: Image, mosquitto: Mosquitto, tmp_path: Path) -> None:
        container = self._container(image, mosquitto, tmp_path)
        other = mosquitto.identity("somebody-else")
        (container.volumes[ETC] / "forwarder.key").write_bytes(other.key.read_bytes())
        self._ends_with_78(container, "forwarder.key")

    def test_the_health_check_of_a_container_that_does_not_forward(
        self, image: Image, mosquitto: Mosquitto, tmp_path: Path
    ) -> None:
        container = self._container(image, mosquitto, tmp_path, arguments=["healthcheck"])
        done = container.run()
        assert done.returncode == 1
        assert "gave no answer" in done.stderr

    @staticmethod
    def _container(
        image: Image,
        fabric: Mosquitto,
        directory: Path,
        config: dict[str, object] | None = None,
        arguments: list[str] | None = None,
    ) -> Container:
        container = Container(image=image, directory=directory / "container", arguments=arguments)
        provision(container.volumes[ETC], fabric)
        text = yaml.safe_dump({"dxl": {"config_file": "dxlclient.config"}, **(config or {})})
        (container.volumes[ETC] / "config.yaml").write_text(text, encoding="utf-8")
        return container

    @staticmethod
    def _ends_with_78(container: Container, named: str) -> None:
        done = container.run()
        assert done.returncode == 78, done.stdout + done.stderr
        assert named in done.stderr
        assert "Traceback" not in done.stderr
