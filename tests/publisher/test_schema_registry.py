"""Forwarders with a schema registry: what stands in Kafka, and what becomes of them when the registry is away."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.mosquitto import Mosquitto
from tests.harness.ports import free_port
from tests.harness.registry.apicurio import Apicurio
from tests.harness.registry.gate import Gate
from tests.harness.topics import Topics
from tie_forwarder.cli import invoke
from tie_forwarder.consumer import parse
from tie_forwarder.demo.certificates import Authority

DELIVERIES = ("exactly_once", "at_least_once")
EVENTS = 40
USER, RIGHT, WRONG = "forwarder", "right-password-9317", "wrong-password-5521"


class Case:
    """A forwarder with topics of its own, and who judges them."""

    def __init__(self, forwarder: Forwarder, topics: Topics, judge: Judge) -> None:
        self.forwarder = forwarder
        self.topics = topics
        self.judge = judge

    @property
    def subject(self) -> str:
        return f"{self.topics.detection}-value"

    def wait_for_state(self, state: str, reason: str, *, says: str) -> None:
        def holds(forwarder: Forwarder) -> bool:
            status = forwarder.status()
            return (status["state"], status["reason"]) == (state, reason) and says in status["problems"][0]["detail"]

        self.forwarder.wait_until(holds, timeout=25.0, what=f"{state} for {reason}: {says}")
        assert self.forwarder.get("/readyz")[0] == self.forwarder.get("/healthz")[0] == 200

    def wait_for_published(self, count: int) -> None:
        self.forwarder.wait_until(
            lambda f: f.ledger()["published"] + f.ledger()["settled"] >= count and f.status()["state"] == "ok",
            timeout=30.0,
            what=f"{count} published",
        )

    def schema_ids(self) -> set[int | None]:
        return {parse(record_of(record)).envelope.schema_id for record in self.judge.read(self.topics.detection)}


class Read:
    """A record of the judge as a consumer has it."""

    def __init__(self, record: Any) -> None:
        self.topic, self.key, self.value = record.topic, record.key, record.value
        self.headers = [(name, text.encode()) for name, text in record.headers.items()]


record_of = Read


@pytest.fixture
def registry(provisioned: None, tmp_path: Path) -> Iterator[Apicurio]:
    """Not started yet."""
    registry = Apicurio(directory=tmp_path / "registry")
    yield registry
    registry.stop()


@pytest.fixture
def make_case(mosquitto: Mosquitto, kafka: KafkaCluster, make_forwarder: MakeForwarder) -> Callable[..., Case]:
    def make(name: str, delivery: str, registry: dict[str, Any]) -> Case:
        topics = Topics.unique(name).create(kafka.administration, partitions=1)
        options = {"kafka": {"delivery": delivery, "schema_registry": registry}}
        forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics, name=name, options=options)
        return Case(forwarder, topics, Judge(bootstrap_servers=kafka.internal_servers, topics=topics))

    return make


def test_a_registry_that_is_down_or_killed_or_hangs_costs_nothing(
    registry: Apicurio,
    mosquitto: Mosquitto,
    make_case: Callable[..., Case],
    make_publisher: MakePublisher,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cases = [make_case(delivery.replace("_", "-"), delivery, {"url": registry.url}) for delivery in DELIVERIES]
    for case in cases:
        case.forwarder.start(wait_ready=False)
    for case in cases:
        case.forwarder.wait_ready()
    publisher = make_publisher(mosquitto)
    publisher.publish_detections(range(EVENTS))
    for case in cases:
        case.wait_for_state("buffering", "registry", says="Connection refused")
        assert case.forwarder.ledger()["in_spool"] == EVENTS
    registry.start()
    for case in cases:
        case.wait_for_published(EVENTS)
    ids = {case: registry.latest(case.subject) for case in cases}

    registry.kill()
    publisher.publish_detections(range(EVENTS, 2 * EVENTS))
    for case in cases:
        case.wait_for_published(2 * EVENTS)

    registry.start()
    registry.hang()
    for case in cases:
        case.forwarder.kill_part("publisher")
    publisher.publish_detections(range(2 * EVENTS, 3 * EVENTS))
    for case in cases:
        case.wait_for_state("buffering", "registry", says="does not answer")
    registry.resume()
    for case in cases:
        case.wait_for_published(3 * EVENTS)
        assert case.forwarder.ledger()["imbalance"] == case.forwarder.ledger()["in_spool"] == 0
        assert case.schema_ids() == {ids[case]}
        assert registry.subjects()[case.subject] == [1]
    exactly_once, at_least_once = (case.judge.verdict(range(3 * EVENTS)) for case in cases)
    exactly_once.assert_exactly_once()
    at_least_once.assert_nothing_lost()
    assert_shown_by_the_verbs(cases[0], ids[cases[0]], capsys)


def assert_shown_by_the_verbs(case: Case, schema_id: int, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(case.forwarder.config_file)
    assert invoke(["tail", "--kafka", "--from-beginning", "--count", "1", "--config", config]) == 0
    head, *value = capsys.readouterr().out.splitlines()
    assert head.endswith(f" schema={schema_id}")
    assert "hashes" in json.loads("\n".join(value))
    assert invoke(["check", "--connect", "--config", config]) == 0
    url = case.forwarder.config["kafka"]["schema_registry"]["url"]
    assert (
        f"ok         registry.schemas        {url}: {case.subject} is registered as {schema_id}"
        in capsys.readouterr().out
    )


@pytest.mark.long
def test_a_member_without_the_ids_stands_by_and_fences_nobody(
    mosquitto: Mosquitto, kafka: KafkaCluster, topics: Topics, judge: Judge, registry: Apicurio,
    make_forwarder: MakeForwarder, make_publisher: MakePublisher,
) -> None:  # fmt: skip
    registry.start()
    nowhere = f"http://127.0.0.1:{free_port()}"
    well, cut_off = (
        make_forwarder(
            fabric=mosquitto, kafka=kafka, topics=topics, name=name,
            options={"kafka": {"schema_registry": {"url": url}}, "group": {"takeover_after_seconds": 3}},
        )
        for name, url in (("well", registry.url), ("cut-off", nowhere))
    )  # fmt: skip
    publisher = make_publisher(mosquitto)
    well.start()
    publisher.publish_detections(range(EVENTS))
    well.wait_until(lambda f: f.ledger()["published"] == EVENTS, timeout=30.0, what="published")
    cut_off.start()
    publisher.publish_detections(range(EVENTS, 2 * EVENTS))
    cut_off.wait_until(
        lambda f: f.ledger()["settled"] == EVENTS, timeout=30.0, what="settled what the other one published"
    )
    cut_off.wait_until(lambda f: f.status()["reason"] == "registry", timeout=10.0, what="the registry told")
    assert cut_off.status()["group"]["role"] == "standby"
    well.kill_all()
    publisher.publish_detections(range(2 * EVENTS, 3 * EVENTS))
    cut_off.wait_until(
        lambda f: sum(v for name, v in f.metrics().items() if "group_takeovers_total" in name) >= 2,
        timeout=40.0, what="two attempts to take over",
    )  # fmt: skip
    assert cut_off.ledger()["in_spool"] == EVENTS
    cut_off.config["kafka"]["schema_registry"]["url"] = registry.url
    cut_off.config_file.write_text(yaml.safe_dump(cut_off.config))
    cut_off.signal(signal.SIGHUP)
    cut_off.wait_until_drained()
    judge.verdict(range(3 * EVENTS)).assert_exactly_once()


@pytest.mark.long
def test_a_registry_that_refuses_blocks_with_a_remedy_until_it_is_mended(
    registry: Apicurio,
    authority: Authority,
    tmp_path: Path,
    mosquitto: Mosquitto,
    make_case: Callable[..., Case],
    make_publisher: MakePublisher,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry.start()
    password = tmp_path / "password"
    password.write_text(f"{WRONG}\n")
    with Gate(behind=registry.port, identity=authority.issue("registry"), user=USER, password=RIGHT) as gate:
        locked = {
            "url": f"https://127.0.0.1:{gate.port}/apis/ccompat/v7",
            "username": USER,
            "password_file": str(password),
            "ca_file": str(authority.ca_file),
        }
        refused = make_case("refused", "exactly_once", locked)
        others = make_case("others", "at_least_once", {"url": registry.url})
        schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "string"}
        foreign = registry.register(others.subject, schema)
        registry.set_compatibility(others.subject, "BACKWARD")
        for case in (refused, others):
            case.forwarder.start(wait_ready=False)
        for case in (refused, others):
            case.forwarder.wait_ready()
        make_publisher(mosquitto).publish_detections(range(EVENTS))
        refused.wait_for_state("blocked", "registry_authentication", says="401")
        assert "kafka.schema_registry.username" in refused.forwarder.status()["remedy"]
        others.wait_for_state("blocked", "registry_incompatible", says="Incompatible")
        assert "FORWARD" in others.forwarder.status()["remedy"]
        for case, says in ((refused, "HTTP status code 401"), (others, "is not compatible")):
            assert invoke(["check", "--connect", "--config", str(case.forwarder.config_file)]) == 1
            fault = capsys.readouterr().out
            assert "failed     registry.schemas        http" in fault
            assert says in fault
            assert WRONG not in fault
        password.write_text(RIGHT)
        registry.set_compatibility(others.subject, "NONE")
        for case in (refused, others):
            case.wait_for_published(EVENTS)
            case.judge.verdict(range(EVENTS)).assert_exactly_once()
            assert None not in case.schema_ids()
        assert foreign not in others.schema_ids()
        shown = refused.forwarder.log() + refused.forwarder.get("/status")[1] + yaml.safe_dump(refused.forwarder.config)
        assert RIGHT not in shown
        assert WRONG not in shown
