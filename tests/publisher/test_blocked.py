"""What a person must mend is told with its remedy, costs nothing, and mends itself once the cause is gone.

The forwarders of a test are in trouble side by side, because each of them waits most of the time.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from tests.conftest import MakeForwarder, MakeKafka, MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.properties import Security
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.lifecycle.running import log_of
from tie_forwarder.demo.certificates import Authority, Identity

BLOCKED_SECONDS = 20.0
MENDED_SECONDS = 30.0
EVENTS = 40
USER, RIGHT, WRONG = "forwarder", "right-password-9317", "wrong-password-5521"

Section = dict[str, Any]


@pytest.fixture(scope="module")
def locked(provisioned: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Asks for a password, and lets nobody do what was not granted."""
    with KafkaCluster(
        directory=tmp_path_factory.mktemp("locked"),
        security=Security(protocol="SASL_PLAINTEXT", users={USER: RIGHT}),
        acls=True,
        properties={"listener.name.client.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512"},
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def encrypted(
    provisioned: None, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaCluster]:
    """Asks for TLS and a client's certificate."""
    security = Security(protocol="SSL", authority=authority, client_certificates=True)
    with KafkaCluster(directory=tmp_path_factory.mktemp("encrypted"), security=security) as cluster:
        yield cluster


@dataclass
class Case:
    """A forwarder that something keeps from publishing."""

    forwarder: Forwarder
    judge: Judge
    delivery: str
    reason: str
    says: str
    """Stands in what /status says is wrong."""
    mend: Callable[[], object]
    remedy: str = ""
    """Stands in what /status says is to be done."""
    blocked_at: float = field(default=0.0)

    def starts(self) -> float:
        """How often the publisher was started."""
        return sum(v for name, v in self.forwarder.metrics().items() if "publisher_restarts_total" in name)


class MakeCase(Protocol):
    """Makes a case whose forwarder is not started yet; its topics are created unless given."""

    def __call__(
        self, name: str, delivery: str, cluster: KafkaCluster, *, reason: str, says: str, mend: Callable[..., object],
        security: Section | None = None, topics: Topics | None = None,
        remedy: str = "",
    ) -> Case: ...  # fmt: skip


@pytest.fixture
def make_case(mosquitto: Mosquitto, make_forwarder: MakeForwarder) -> MakeCase:
    def make(
        name: str, delivery: str, cluster: KafkaCluster, *, reason: str, says: str, mend: Callable[..., object],
        security: Section | None = None, topics: Topics | None = None,
        remedy: str = "",
    ) -> Case:  # fmt: skip
        topics = topics or Topics.unique(name).create(cluster.administration, partitions=1)
        options = {"kafka": {"delivery": delivery, "security": security or {}}}
        forwarder = make_forwarder(
            fabric=mosquitto, kafka=cluster, topics=topics, name=name, group=f"group-{name}", options=options
        )
        judge = Judge(bootstrap_servers=cluster.internal_servers, topics=topics)
        return Case(forwarder, judge, delivery, reason, says, lambda: mend(forwarder), remedy)

    return make


def sasl(password_file: Path, mechanism: str = "PLAIN") -> Section:
    return {
        "protocol": "sasl_plaintext",
        "sasl": {"mechanism": mechanism, "username": USER, "password_file": str(password_file)},
    }


def tls(authority: Authority, certificate: Path, key: Path) -> Section:
    files = {"ca_file": authority.ca_file, "certificate_file": certificate, "key_file": key}
    return {"protocol": "ssl", **{name: str(path) for name, path in files.items()}}


def grant(cluster: KafkaCluster, topics: Topics, *operations: str, group: str = "") -> None:
    for topic in (topics.detection, topics.dead_letter):
        for operation in operations:
            cluster.administration.grant(USER, operation, name=topic)
    if group:
        cluster.administration.grant(USER, "write", resource="transactional_id", name=group)


def reconfigure(forwarder: Forwarder, security: Section) -> None:
    forwarder.config["kafka"]["security"] = security
    forwarder.config_file.write_text(yaml.safe_dump(forwarder.config, sort_keys=False))
    forwarder.signal(signal.SIGHUP)


def replace(identity: Identity, *, by: Identity) -> None:
    identity.certificate.write_bytes(by.certificate.read_bytes())
    identity.key.write_bytes(by.key.read_bytes())


def start(cases: Sequence[Case], publish: Callable[[], object]) -> None:
    for case in cases:
        case.forwarder.start(wait_ready=False)
    for case in cases:
        case.forwarder.wait_ready()
    publish()


def assert_blocked(case: Case) -> None:
    """Blocked with the true cause, and spooling on."""
    forwarder = case.forwarder
    forwarder.wait_until(
        lambda f: (f.status()["state"], f.status()["reason"]) == ("blocked", case.reason),
        timeout=BLOCKED_SECONDS,
        what=f"{forwarder.name} blocked for {case.reason}",
    )
    case.blocked_at = case.blocked_at or time.monotonic()
    status = forwarder.status()
    detail = status["problems"][0]["detail"]
    assert case.says in detail, f"{forwarder.name}: {detail}"
    assert case.remedy in status["remedy"]
    assert status["remedy"]
    assert forwarder.get("/readyz")[0] == forwarder.get("/healthz")[0] == 200


def assert_steady(case: Case) -> None:
    """Nothing but this reason was shown since, and the process was not started again and again."""
    changes = [line for line in log_of(case.forwarder) if line.get("event") == "state.changed"]
    blocked = [line["state"] == "blocked" and line["reason"] == case.reason for line in changes]
    assert all(blocked[blocked.index(True) :]), f"{case.forwarder.name}: {changes}"
    elapsed = time.monotonic() - case.blocked_at
    assert case.starts() <= 3 + elapsed / 4, f"{case.forwarder.name}: {case.starts()} starts in {elapsed:.0f} s"


def assert_mended(case: Case, count: int = EVENTS) -> None:
    forwarder = case.forwarder
    forwarder.wait_until(
        lambda f: f.ledger()["published"] == count and f.status()["state"] == "ok",
        timeout=MENDED_SECONDS,
        what=f"{forwarder.name} mended",
    )
    assert forwarder.ledger()["imbalance"] == forwarder.ledger()["in_spool"] == 0
    case.judge.verdict(range(count)).assert_exactly_once()


def test_who_is_not_let_in_is_told_why_and_gets_in_without_a_restart(
    tmp_path: Path,
    mosquitto: Mosquitto,
    locked: KafkaCluster,
    encrypted: KafkaCluster,
    authority: Authority,
    make_case: MakeCase,
    make_publisher: MakePublisher,
) -> None:
    wrong, right = tmp_path / "wrong.password", tmp_path / "right.password"
    wrong.write_text(f"{WRONG}\n")
    right.write_text(RIGHT)
    client = authority.issue("kafka-client")
    stranger = Authority(tmp_path / "stranger")
    foreign = stranger.issue("foreign")
    good_tls = tls(authority, client.certificate, client.key)
    server, tls_server = locked.bootstrap_servers[0], encrypted.bootstrap_servers[0]
    cases = [
        make_case(
            "plain", "at_least_once", locked, security=sasl(wrong), reason="authentication",
            says=f"{server}: Authentication failed", mend=lambda _: wrong.write_text(f"{RIGHT}\n"),
        ),
        make_case(
            "mechanism", "at_least_once", locked, security=sasl(right, "SCRAM-SHA-256"), reason="sasl_mechanism",
            says="does not offer SCRAM-SHA-256; it offers PLAIN, SCRAM-SHA-512",
            mend=lambda forwarder: reconfigure(forwarder, sasl(right, "SCRAM-SHA-512")),
        ),
        make_case(
            "unknown-ca", "exactly_once", encrypted, security={**good_tls, "ca_file": str(stranger.ca_file)},
            reason="tls", says="its certificate is refused",
            mend=lambda _: stranger.ca_file.write_bytes(authority.ca_file.read_bytes()),
        ),
        make_case(
            "foreign", "exactly_once", encrypted, security=tls(authority, foreign.certificate, foreign.key),
            reason="tls", says=f"{tls_server}: it refuses this client's certificate",
            mend=lambda _: replace(foreign, by=authority.issue("kafka-foreign")),
        ),
    ]  # fmt: skip
    for case in cases:
        if case.forwarder.config["kafka"]["bootstrap_servers"] == locked.bootstrap_servers:
            topics = Topics(**case.forwarder.config["kafka"]["topics"])
            grant(locked, topics, "write", "read", group=f"group-{case.forwarder.name}")
    start(cases, lambda: make_publisher(mosquitto).publish_detections(range(EVENTS)))
    for case in cases:
        assert_blocked(case)
    for case in cases:
        case.forwarder.wait_until(lambda f, case=case: case.starts() >= 2, timeout=20.0, what="a second attempt")  # type: ignore[misc]
        assert_steady(case)
        assert case.forwarder.ledger()["in_spool"] == EVENTS
        case.mend()
    for case in cases:
        assert_mended(case)
        shown = case.forwarder.log() + case.forwarder.get("/status")[1] + case.forwarder.get("/metrics")[1]
        assert RIGHT not in shown
        assert WRONG not in shown


def test_a_missing_right_or_topic_is_named_and_used_once_it_is_there(
    tmp_path: Path, mosquitto: Mosquitto, locked: KafkaCluster, make_case: MakeCase, make_publisher: MakePublisher
) -> None:
    password = tmp_path / "password"
    password.write_text(RIGHT)
    administration = locked.administration

    def missing(name: str, delivery: str, *there: str, says: str, remedy: str) -> Case:
        """Lacks one thing of all that it needs; `there` are the topics that exist."""
        topics = Topics.unique(name)
        group = f"group-{name}"
        for kind in there:
            administration.create_topic(getattr(topics, kind))
        rights = {"write", "read", "describe"} - ({"write", "read"} & {says.partition(" ")[0].lower()})
        grant(locked, topics, *rights, group="" if "transactional" in says else group)

        def mend(_: Forwarder) -> None:
            for kind in {"detection", "dead_letter"}.difference(there):
                administration.create_topic(getattr(topics, kind))
            grant(locked, topics, "write", "read", group=group)

        codes = {"missing": "unknown_topic", "transactional": "transactional_id_authorization"}
        reason = next((code for word, code in codes.items() if word in says), "topic_authorization")
        case = make_case(
            name, delivery, locked, security=sasl(password), topics=topics, reason=reason,
            says=says.format(**topics.configuration(), group=group), mend=mend, remedy=remedy,
        )  # fmt: skip
        case.judge = _JudgeOfTwo(case.judge, locked, topics)
        return case

    both = ("detection", "dead_letter")
    cases = [
        missing("no-write", "at_least_once", *both, says="Write on {detection}", remedy="grant"),
        missing("no-read", "exactly_once", *both, says="Read on {detection}", remedy="Read"),
        missing("no-id", "exactly_once", *both, says="the transactional id {group}", remedy="transactional id"),
        missing("no-topic", "at_least_once", says="missing in Kafka: {dead_letter}, {detection}", remedy="create"),
        missing(
            "no-dead-letters", "exactly_once", "detection", says="missing in Kafka: {dead_letter}", remedy="create"
        ),
    ]
    start(cases, lambda: make_publisher(mosquitto).publish_detections(range(EVENTS)))
    for case in cases:
        assert_blocked(case)
    for case in cases:
        case.forwarder.wait_until(lambda f, case=case: case.starts() >= 2, timeout=20.0, what="a second attempt")  # type: ignore[misc]
        assert_steady(case)
        case.mend()
    for case in cases:
        assert_mended(case)


class _JudgeOfTwo(Judge):
    """Judges where only the topics of detections and dead letters exist: the others are created for it."""

    def __init__(self, judge: Judge, cluster: KafkaCluster, topics: Topics) -> None:
        super().__init__(bootstrap_servers=cluster.internal_servers, topics=topics)
        for kind in ("first_instance", "file_reputation_change", "certificate_reputation_change"):
            cluster.administration.create_topic(getattr(topics, kind))


def test_a_right_or_topic_that_is_taken_away_at_run_time_is_missed_and_used_again(
    tmp_path: Path, mosquitto: Mosquitto, locked: KafkaCluster, make_case: MakeCase, make_publisher: MakePublisher
) -> None:
    password = tmp_path / "password"
    password.write_text(RIGHT)
    administration = locked.administration

    def revoked(name: str, delivery: str) -> tuple[Case, Callable[[], object]]:
        topics = prepared(name)
        case = make_case(
            name, delivery, locked, security=sasl(password), topics=topics, reason="topic_authorization",
            says=f"Write on {topics.detection}",
            mend=lambda _: administration.grant(USER, "write", name=topics.detection),
        )  # fmt: skip
        return case, lambda: administration.revoke(USER, "write", name=topics.detection)

    def deleted(name: str, delivery: str) -> tuple[Case, Callable[[], object]]:
        topics = prepared(name)
        case = make_case(
            name, delivery, locked, security=sasl(password), topics=topics, reason="unknown_topic",
            says=f"missing in Kafka: {topics.detection}",
            mend=lambda _: administration.create_topic(topics.detection),
        )  # fmt: skip
        return case, lambda: administration.delete_topic(topics.detection)

    def prepared(name: str) -> Topics:
        topics = Topics.unique(name).create(administration, partitions=1)
        grant(locked, topics, "write", "read", group=f"group-{name}")
        return topics

    pairs = [
        revoked("revoked-1", "at_least_once"),
        revoked("revoked-2", "exactly_once"),
        deleted("deleted-1", "at_least_once"),
        deleted("deleted-2", "exactly_once"),
    ]
    cases = [case for case, _ in pairs]
    start(cases, lambda: make_publisher(mosquitto).publish_detections(range(EVENTS)))
    for case in cases:
        assert_mended(case)
    for _, take_away in pairs:
        take_away()
    make_publisher(mosquitto, "second").publish_detections(range(EVENTS, 2 * EVENTS))
    for case in cases:
        assert_blocked(case)
    for case in cases:
        case.mend()
    for case in cases:
        case.forwarder.wait_until(
            lambda f: f.ledger()["published"] == 2 * EVENTS and f.status()["state"] == "ok", timeout=MENDED_SECONDS
        )
        assert case.forwarder.ledger()["imbalance"] == 0
        # What stood in the deleted topic is gone with it.
        first = EVENTS if case.reason == "unknown_topic" else 0
        verdict = case.judge.verdict(range(first, 2 * EVENTS))
        if case.delivery == "exactly_once":
            verdict.assert_exactly_once()
        else:
            # The topic went away under a request whose outcome nobody knows.
            verdict.assert_nothing_lost()


def test_a_cluster_that_cannot_do_transactions_is_blocked_with_both_ways_out(
    mosquitto: Mosquitto, make_kafka: MakeKafka, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    kafka = make_kafka(properties={"transaction.state.log.replication.factor": 3, "transaction.state.log.min.isr": 2})
    topics = Topics.unique().create(kafka.administration)
    options = {"kafka": {"delivery": "exactly_once"}}
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics, options=options)
    forwarder.start()
    make_publisher(mosquitto).publish_detections(range(EVENTS))
    forwarder.wait_until(
        lambda f: f.status()["reason"] == "transactions_unavailable", timeout=35.0, what="transactions_unavailable"
    )
    status = forwarder.status()
    assert status["state"] == "blocked"
    assert "replicas" in status["remedy"]
    assert "at_least_once" in status["remedy"]
    assert status["ledger"]["in_spool"] == EVENTS
