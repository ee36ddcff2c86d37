"""`check --connect`: what Kafka says, a line for each thing; the exit code says whether the service would work."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.conftest import MakeForwarder
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.mosquitto import Mosquitto
from tests.harness.ports import free_port
from tests.harness.topics import Topics
from tie_forwarder.cli import invoke


class Site:
    """A configuration that `check` finds in order."""

    def __init__(self, config: dict[str, dict[str, object]], file: Path) -> None:
        self.config = config
        self.file = file

    def check(self, *arguments: str) -> int:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(yaml.safe_dump(self.config))
        return invoke(["check", "--config", str(self.file), *arguments])


@pytest.fixture
def site(mosquitto: Mosquitto, kafka: KafkaCluster, topics: Topics, make_forwarder: MakeForwarder) -> Site:
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics)
    return Site(forwarder.config, forwarder.config_file)


def test_all_is_well(site: Site, kafka: KafkaCluster, topics: Topics, capsys: pytest.CaptureFixture[str]) -> None:
    before = kafka.administration.topics()
    assert site.check("--connect") == 0
    shown = capsys.readouterr().out
    assert f"ok     kafka {kafka.bootstrap_servers[0]}: lets this forwarder in" in shown
    assert f"ok     topic {topics.detection}: 3 partitions, 1 replicas, min.insync.replicas=1" in shown
    assert f"ok     transactions as {topics.detection}: the coordinator answers" in shown
    assert shown.rstrip().endswith("no fault found")
    assert kafka.administration.topics() - {"__transaction_state"} == before - {"__transaction_state"}


def test_without_the_option_nothing_is_asked(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.config["kafka"]["bootstrap_servers"] = [f"127.0.0.1:{free_port()}"]
    assert site.check() == 0
    assert "nothing was connected to" in capsys.readouterr().out


def test_a_compacted_output_is_refused_where_events_must_stand_once(
    site: Site, kafka: KafkaCluster, topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka.administration.set_topic_config(topics.detection, **{"cleanup.policy": "compact,delete"})
    assert site.check("--connect") == 1
    refusal = capsys.readouterr().err
    assert f"fault  topic {topics.detection}: is compacted" in refusal
    assert "remedy: set cleanup.policy=delete" in refusal
    assert topics.dead_letter not in refusal
    site.config["kafka"]["delivery"] = "at_least_once"
    assert site.check("--connect") == 0


def test_a_missing_topic_and_a_server_that_is_not_there_are_named(
    site: Site, kafka: KafkaCluster, topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka.administration.delete_topic(topics.dead_letter)
    nobody = f"127.0.0.1:{free_port()}"
    site.config["kafka"]["bootstrap_servers"] = [nobody, *kafka.bootstrap_servers]
    assert site.check("--connect") == 1
    refusal = capsys.readouterr().err
    assert f"fault  kafka {nobody}: {nobody}: Connection refused" in refusal
    assert f"fault  topic {topics.dead_letter}: missing in Kafka: {topics.dead_letter}" in refusal
    assert "remedy: create the topic" in refusal
    assert refusal.rstrip().endswith("faults: 2")


def test_nobody_answers(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.config["kafka"]["bootstrap_servers"] = [f"127.0.0.1:{free_port()}"]
    assert site.check("--connect") == 1
    refusal = capsys.readouterr().err
    assert "Connection refused" in refusal
    assert "Traceback" not in refusal
    assert refusal.rstrip().endswith("faults: 1")
