"""`check --connect`: each line fails for its real cause, on real servers, and the exit code says what that means.

Kafka and what it has of topics and rights. The fabric is in `test_check_fabric`, this machine in `test_check_machine`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeForwarder, MakeKafka, MakePublisher
from tests.harness.check_connect import Site, reader
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.properties import Security
from tests.harness.mosquitto import Mosquitto
from tests.harness.ports import free_port
from tests.harness.topics import Topics
from tie_forwarder.cli import invoke
from tie_forwarder.demo.certificates import Authority, Identity
from tie_forwarder.demo.servers import EmbeddedKafka

USER, PASSWORD, WRONG = "forwarder", "right-password-9317", "wrong-password-5521"
CLOCK = Path(__file__).parents[1] / "groups" / "clock"
TOPIC_LINES = [
    "exists",
    "replication",
    "in_sync",
    "retention",
    "cleanup",
    "size",
    "compression",
    "timestamps",
    "rights",
]


@pytest.fixture(scope="module")
def locked(provisioned: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Asks for a password and lets nobody do what was not granted; its transactions are too short for us."""
    with KafkaCluster(
        directory=tmp_path_factory.mktemp("locked"),
        security=Security(protocol="SASL_PLAINTEXT", users={USER: PASSWORD}),
        acls=True,
        properties={"transaction.max.timeout.ms": 30_000},
    ) as cluster:
        yield cluster


@pytest.fixture
def site(
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    topics: Topics,
    make_forwarder: MakeForwarder,
    capsys: pytest.CaptureFixture[str],
) -> Site:
    """A configuration that is in order."""
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics)
    return Site(forwarder.config, forwarder.config_file, reader(capsys))


def log_in(site: Site, cluster: KafkaCluster, *, password: str = PASSWORD, mechanism: str = "PLAIN") -> None:
    site.config["kafka"]["bootstrap_servers"] = cluster.bootstrap_servers
    site.config["kafka"]["security"] = {
        "protocol": "sasl_plaintext",
        "sasl": {"mechanism": mechanism, "username": USER, "password": password},
    }


# All is well


def test_all_is_well_and_nothing_is_changed(site: Site, kafka: KafkaCluster, topics: Topics) -> None:
    before = kafka.administration.topics()
    answer = site.check()
    assert answer.exit_code == 0
    assert answer.of_state("failed") == answer.of_state("not tried") == []
    assert answer.line("kafka.server").found == "takes a connection"
    assert answer.line("topic.exists", topics.detection).found == "partitions: 3, each with a leader"
    assert answer.line("transactions.rights").found == "this user has Write and Describe"
    assert answer.line("clock.kafka").found == "they agree within 0.1 s"
    assert kafka.administration.topics() - {"__transaction_state"} == before - {"__transaction_state"}
    assert not Path(site.config["spool"]["directory"]).exists()


def test_a_running_service_is_recognised_and_not_disturbed(
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    topics: Topics,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client_config = mosquitto.client_config("named", client_id="{11111111-2222-3333-4444-555555555555}")
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics)
    forwarder.config["dxl"]["config_file"] = str(client_config)
    forwarder.start()
    publisher = make_publisher(mosquitto)
    publisher.publish_detections(range(10))
    forwarder.wait_until(lambda f: f.ledger()["published"] == 10, timeout=20.0, what="published")
    before = forwarder.metrics()
    answer = Site(forwarder.config, forwarder.config_file, reader(capsys)).check()
    assert answer.exit_code == 0, answer.lines
    assert answer.line("port.free").found.startswith("held by the service itself, which runs: forwarder of the group")
    assert answer.line("disk.lock").found.startswith(f"in use by process {forwarder.part('main').pid} (")
    assert answer.line("service.state", "forwarder").found.startswith("ok since ")
    assert answer.line("transactions.ability").found.startswith("the coordinator answers; its last transaction is ")
    publisher.publish_detections(range(10, 20))
    forwarder.wait_until(lambda f: f.ledger()["published"] == 20, timeout=20.0, what="published on")
    after = forwarder.metrics()
    undisturbed = ("dxl_connects_total", "restarts_total", "takeovers_total", "publish_errors_total")
    assert [name for name in after if any(part in name for part in undisturbed) and after[name] != before[name]] == []
    assert forwarder.status()["state"] == "ok"
    other = Site(forwarder.config, forwarder.config_file.with_name("other.yaml"), reader(capsys))
    other.config["group"] = {**forwarder.config["group"], "member": "another"}
    line = other.failure("port.free")
    assert "held by another tie-forwarder: forwarder of the group" in line.found
    assert "spool.directory of its own" in other.failure("disk.lock").remedy


def test_without_the_option_nothing_is_asked(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.config["kafka"]["bootstrap_servers"] = [f"127.0.0.1:{free_port()}"]
    site.write()
    assert invoke(["check", "--config", str(site.file)]) == 0
    assert "nothing was connected to" in capsys.readouterr().out
    assert invoke(["check", "--json", "--config", str(site.file)]) == 2
    assert invoke(["check", "--create-topics", "--config", str(site.file)]) == 2


# Servers and login


def test_a_server_that_is_not_there_is_told_and_another_one_is_enough(site: Site, kafka: KafkaCluster) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    site.config["kafka"]["bootstrap_servers"] = [nobody, *kafka.bootstrap_servers]
    answer = site.check()
    assert answer.exit_code == 0
    line = answer.line("kafka.server", nobody)
    assert (line.state, line.found) == ("warning", "Connection refused")
    site.config["kafka"]["bootstrap_servers"] = [nobody]
    answer = site.check()
    assert answer.exit_code == 1
    assert answer.line("kafka.server", nobody).state == "failed"
    assert answer.line("kafka.cluster") == ("not tried", "an earlier line failed", "")
    assert {f"topic.{aspect}" for aspect in TOPIC_LINES} < set(answer.of_state("not tried"))


def test_a_login_that_is_refused_says_why(site: Site, locked: KafkaCluster) -> None:
    log_in(site, locked, password=WRONG)
    answer = site.check()
    line = answer.line("kafka.login")
    assert (answer.exit_code, line.state) == (1, "failed")
    assert line.found.startswith("Authentication failed")
    assert line.remedy == "correct kafka.security.sasl username and password"
    assert answer.line("kafka.server").state == "ok"
    assert WRONG not in str(answer.document)
    site.config["kafka"]["security"] = {}
    assert "wants a login by SASL" in site.failure("kafka.login").found


def test_tls_that_fails_says_why(site: Site, authority: Authority) -> None:
    site.config["kafka"]["security"] = {"protocol": "ssl", "ca_file": str(authority.ca_file)}
    assert "does not speak TLS" in site.failure("kafka.server").found


def test_certificates_that_kafka_or_we_refuse_are_told(
    site: Site, make_kafka: MakeKafka, authority: Authority, tmp_path: Path
) -> None:
    kafka = make_kafka(security=Security(protocol="SSL", authority=authority, client_certificates=True))
    stranger, own = Authority(tmp_path / "stranger"), authority.issue("kafka-client")
    foreign = stranger.issue("foreign")

    def tls(identity: Identity, authorities: Path) -> dict[str, str]:
        files = {"ca_file": authorities, "certificate_file": identity.certificate, "key_file": identity.key}
        return {"protocol": "ssl", **{name: str(path) for name, path in files.items()}}

    server = kafka.bootstrap_servers[0]
    # The certificate is for 127.0.0.1 and localhost, and not for this name of the same machine.
    other_name = server.replace("127.0.0.1", "127.1")
    for address, identity, authorities, words in (
        (server, own, stranger.ca_file, "its certificate is refused: "),
        (other_name, own, authority.ca_file, "its certificate is refused: Hostname mismatch"),
        (server, foreign, authority.ca_file, "it refuses this client's certificate: "),
    ):
        site.config["kafka"] |= {"bootstrap_servers": [address], "security": tls(identity, authorities)}
        line = site.failure("kafka.server")
        assert words in line.found
        assert "kafka.security" in line.remedy


# Topics


def test_a_missing_topic_is_made_where_that_is_asked_for(site: Site, kafka: KafkaCluster, topics: Topics) -> None:
    kafka.administration.delete_topic(topics.dead_letter)
    answer = site.check()
    line = answer.line("topic.exists", topics.dead_letter)
    assert (answer.exit_code, line.state, line.found) == (1, "failed", "it does not exist")
    assert "--create-topics" in line.remedy
    assert topics.dead_letter not in kafka.administration.topics()
    answer = site.check("--create-topics")
    assert answer.exit_code == 0
    assert answer.line("topic.created").state == "ok"
    assert topics.dead_letter in kafka.administration.topics()
    assert ("topic.created", topics.dead_letter) not in site.check("--create-topics").lines


def test_what_a_topic_must_not_be_is_refused(site: Site, kafka: KafkaCluster, topics: Topics) -> None:
    kafka.administration.set_topic_config(
        topics.detection,
        **{
            "cleanup.policy": "compact,delete",
            "min.insync.replicas": 2,
            "retention.ms": 1_199_000,
            "max.message.bytes": 500_000,
        },
    )
    kafka.administration.set_topic_config(topics.dead_letter, **{"retention.bytes": 10_000_000})
    answer = site.check()
    found = {code: answer.line(code, topics.detection) for code in (f"topic.{name}" for name in TOPIC_LINES)}
    assert answer.exit_code == 1
    assert found["topic.cleanup"].found == "it is compacted (cleanup.policy=compact,delete)"
    assert "set cleanup.policy=delete" in found["topic.cleanup"].remedy
    assert "it has 1 replicas: nothing can ever be written" in found["topic.in_sync"].found
    assert "less than group.window_seconds and margin_seconds together" in found["topic.retention"].found
    assert found["topic.size"].state == "warning"
    default = answer.line("topic.size", topics.dead_letter)
    assert default.state == "warning"
    assert "max.message.bytes=1048588, and the largest event of DXL makes 105" in default.found
    assert default.remedy == "set it to 2097152"
    assert found["topic.replication"].state == "warning"
    assert answer.line("topic.retention", topics.dead_letter).state == "warning"
    assert answer.of_state("failed") == ["topic.in_sync", "topic.retention", "topic.cleanup"]
    site.config["kafka"]["delivery"] = "at_least_once"
    answer = site.check()
    assert answer.of_state("failed") == ["topic.in_sync"]
    assert answer.line("topic.cleanup", topics.detection).state == "warning"
    assert [code for code, _ in answer.lines if code.startswith("transactions.")] == []


def test_a_topic_that_cannot_be_created_for_another_reason_than_a_right_is_told(
    site: Site, make_kafka: MakeKafka, topics: Topics
) -> None:
    cluster = make_kafka(properties={"default.replication.factor": 3})
    site.config["kafka"]["bootstrap_servers"] = cluster.bootstrap_servers
    line = site.check("--create-topics").line("topic.created", topics.detection)
    assert line == (
        "failed", "InvalidReplicationFactorError: Replication-factor is invalid.", "create it as an administrator",
    )  # fmt: skip


def test_what_a_broker_cannot_tell_is_not_taken_for_a_missing_right(site: Site, tmp_path: Path) -> None:
    """The embedded Kafka answers DescribeConfigs with nothing, and knows neither DescribeQuorum nor
    DescribeTransactions."""
    embedded = EmbeddedKafka(directory=tmp_path)
    embedded.start()
    try:
        embedded.wait_until_serving()
        site.config["kafka"]["bootstrap_servers"] = [embedded.address]
        answer = site.check("--create-topics")
        topic = site.config["kafka"]["topics"]["detection"]
        for aspect in ("in_sync", "retention", "cleanup", "size", "compression", "timestamps"):
            line = answer.line(f"topic.{aspect}", topic)
            assert (line.state, line.found) == ("not tried", "Kafka does not tell the configuration")
        assert answer.line("topic.rights", topic).state == "not tried"
        assert answer.line("clock.kafka") == (
            "not tried", "this Kafka tells its time to nobody", "compare the clocks by hand",
        )  # fmt: skip
        assert answer.line("transactions.ability")[:2] == ("ok", "the coordinator answers")
        assert [line for line in answer.lines.values() if "grant" in line.remedy] == []
    finally:
        embedded.stop()


# Rights and transactions


def test_rights_that_are_missing_are_named(site: Site, locked: KafkaCluster, topics: Topics) -> None:
    log_in(site, locked)
    administration, group = locked.administration, str(site.config["group"]["name"])
    for topic in (topics.detection, topics.dead_letter):
        administration.create_topic(topic)
    administration.grant(USER, "write", name=topics.detection)
    answer = site.check("--create-topics")
    assert answer.exit_code == 1
    assert answer.line("kafka.login").found == f"as {USER} by PLAIN"
    assert answer.line("topic.rights", topics.detection).found == "this user lacks Read"
    assert "or this user may not see it" in answer.line("topic.exists", topics.dead_letter).found
    assert answer.line("topic.created").state == "failed"
    assert "DescribeConfigs" in answer.line("topic.size", topics.detection).found
    assert answer.line("transactions.ability").state == "not tried"
    assert answer.line("transactions.rights").found == "this user lacks Write or Describe on it"
    assert f"the transactional id {group}" in answer.line("transactions.rights").remedy
    assert answer.line("clock.kafka").state == "not tried"
    administration.grant(USER, "read", name=topics.detection)
    for right in ("read", "write"):
        administration.grant(USER, right, name=topics.dead_letter)
    administration.grant(USER, "describe", resource="transactional_id", name=group)
    assert site.failure("transactions.rights").found == "this user lacks Write or Describe on it"
    administration.grant(USER, "write", resource="transactional_id", name=group)
    answer = site.check()
    assert (answer.exit_code, answer.of_state("failed")) == (0, [])
    assert answer.line("transactions.replay").state == "warning"
    assert f"the transactional id {group}-replay" in answer.line("transactions.replay").remedy
    assert PASSWORD not in str(answer.document)


def test_a_cluster_whose_transactions_are_too_short_is_refused(
    site: Site, locked: KafkaCluster, topics: Topics
) -> None:
    topics.create(locked.administration)
    site.config["kafka"]["bootstrap_servers"] = locked.internal_servers
    line = site.failure("transactions.ability")
    assert line.found == "transaction.max.timeout.ms=30000, and the forwarder asks for 60000"


def test_a_broker_that_cannot_be_reached_and_a_cluster_without_transactions_are_told(
    site: Site, provisioned: None, tmp_path: Path, topics: Topics
) -> None:
    properties = {"transaction.state.log.replication.factor": 3, "transaction.state.log.min.isr": 2}
    security = Security(protocol="SASL_PLAINTEXT", users={USER: PASSWORD})
    cluster = KafkaCluster(directory=tmp_path / "odd", security=security, properties=properties)
    advertise(cluster, f"127.0.0.1:{free_port()}")
    with cluster:
        topics.create(cluster.administration)
        log_in(site, cluster)
        answer = site.check()
        line = answer.line("kafka.broker")
        assert (answer.exit_code, line.state, line.found) == (1, "failed", "Connection refused")
        assert "advertised.listeners" in line.remedy
        assert answer.line("kafka.login").state == "ok"
        assert answer.line("kafka.cluster").state == "failed"
        site.config["kafka"] |= {"bootstrap_servers": cluster.internal_servers, "security": {}}
        line = site.failure("transactions.ability")
        assert "at_least_once" in line.remedy


def advertise(cluster: KafkaCluster, address: str) -> None:
    """Let the only node name another address to its clients than the one where it is."""
    (node,) = cluster.nodes
    old = f"CLIENT://{cluster.bootstrap_servers[0]}"
    properties = node._properties.splitlines()
    node._properties = "\n".join(
        line.replace(old, f"CLIENT://{address}") if line.startswith("advertised.") else line for line in properties
    )


# The clock


@pytest.mark.parametrize(("offset", "state"), [(7_200, "failed"), (60, "warning"), (-60, "warning")])
def test_a_clock_that_is_off_is_told(site: Site, monkeypatch: pytest.MonkeyPatch, offset: int, state: str) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{CLOCK}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("CLOCK_OFFSET_SECONDS", str(offset))
    line = site.check().line("clock.kafka")
    assert line.state == state
    assert f"{abs(offset)}" in line.found
    assert ("ahead" if offset > 0 else "behind") in line.found


# Hanging


def test_a_kafka_that_hangs_is_told_in_time(site: Site, own_hung_kafka: KafkaCluster) -> None:
    site.config["kafka"]["bootstrap_servers"] = own_hung_kafka.bootstrap_servers
    line = site.failure("kafka.server")
    assert "does not answer" in line.found


@pytest.fixture
def own_hung_kafka(locked: KafkaCluster) -> Iterator[Any]:
    locked.hang()
    try:
        yield locked
    finally:
        locked.resume()
