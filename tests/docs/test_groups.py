"""The commands for Kafka in the README and in docs/groups.md, run one after the other, are enough for a forwarder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.conftest import MakeForwarder, MakeKafka, MakePublisher
from tests.harness.commands import commands
from tests.harness.detections import detection, message_id
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.properties import Security
from tests.harness.kafka.tools import ToolsInstallation
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tie_forwarder.config.kafka import Topics as DefaultTopics

USER, PASSWORD = "tie-forwarder", "right-password-9317"
# What a cluster of one node cannot do.
ONE_NODE = {"--replication-factor 3": "--replication-factor 1", "min.insync.replicas=2": "min.insync.replicas=1"}


class Shell:
    """Runs commands of the documents as the cluster's administrator."""

    def __init__(self, kafka: KafkaCluster, directory: Path) -> None:
        self._server = kafka.internal_servers[0]
        ToolsInstallation().write_scripts(directory)
        self._path = f"{directory}:{os.environ['PATH']}"

    def run(self, command: str) -> str:
        for text, here in {"KAFKA:9092": self._server, **ONE_NODE}.items():
            command = command.replace(text, here)
        done = subprocess.run(
            ["sh", "-c", command], env={**os.environ, "PATH": self._path}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout


def test_topics_and_rights_by_the_documents_are_enough_and_the_console_shows_the_record(
    make_kafka: MakeKafka,
    mosquitto: Mosquitto,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
    tmp_path: Path,
) -> None:
    kafka = make_kafka(security=Security(protocol="SASL_PLAINTEXT", users={USER: PASSWORD}), acls=True)
    shell = Shell(kafka, tmp_path / "bin")
    created = [shell.run(command) for command in commands("README.md", "kafka-topics.sh")]
    granted = [shell.run(command) for command in commands("docs/groups.md", "kafka-acls.sh")]
    assert (len(created), len(granted)) == (2, 3)
    sasl = {"mechanism": "SCRAM-SHA-512", "username": USER, "password": PASSWORD}
    forwarder = make_forwarder(
        fabric=mosquitto,
        kafka=kafka,
        topics=Topics(**DefaultTopics().by_destination()),
        name="node-1",
        group="tie-forwarder",
        options={"kafka": {"security": {"protocol": "sasl_plaintext", "sasl": sasl}}},
    )
    forwarder.start()
    publisher = make_publisher(mosquitto)
    publisher.publish([detection(1, agent=1), b"no event"], message_ids=[message_id(1), message_id(2)])
    forwarder.wait_until(lambda f: f.ledger()["published"] == 2, timeout=30.0, what="both in Kafka")
    (console,) = commands("docs/groups.md", "kafka-console-consumer.sh")
    shown = shell.run(console)
    assert f"ce_id:{message_id(1).strip('{}')}" in shown
    assert "SAMPLE-1.EXE" in shown
