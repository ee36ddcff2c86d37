"""The rights that docs/deploy.md lists are enough for a forwarder, and each that is left out is named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.conftest import MakeForwarder, MakeKafka, MakePublisher
from tests.harness.detections import detection
from tests.harness.forwarder import Forwarder
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.properties import Security
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tie_forwarder.config.kafka import Topics as DefaultTopics

DOCUMENT = Path(__file__).parents[2] / "docs/deploy.md"
USER, PASSWORD = "tie-forwarder", "right-password-6630"
_ROW = re.compile(r"^\| (Read|Write) \| (transactional id|topic) `([^`]+)` \| `([a-z_]+)`", re.MULTILINE)


class Right(NamedTuple):
    """One line of the table."""

    operation: str
    resource: str
    name: str
    """As the defaults have it."""
    reason: str
    """What /status says where the right is missing."""


def rights() -> list[Right]:
    """The table of docs/deploy.md."""
    return [Right(*found) for found in _ROW.findall(DOCUMENT.read_text(encoding="utf-8"))]


class Case:
    """A forwarder with topics and a group of its own, and some of the rights."""

    def __init__(
        self, name: str, granted: Sequence[Right], kafka: KafkaCluster, fabric: Mosquitto, make: MakeForwarder
    ) -> None:
        self.topics = Topics.unique(name)
        defaults = DefaultTopics().by_destination()
        self._names = {defaults[kind]: topic for kind, topic in self.topics.configuration().items()}
        self._names["tie-forwarder"] = f"group-{name}"
        for topic in (self.topics.detection, self.topics.dead_letter):
            kafka.administration.create_topic(topic)
        for right in granted:
            resource = right.resource.replace(" ", "_")
            kafka.administration.grant(USER, right.operation.lower(), resource=resource, name=self.name_of(right))
        sasl = {"mechanism": "PLAIN", "username": USER, "password": PASSWORD}
        self.forwarder: Forwarder = make(
            fabric=fabric,
            kafka=kafka,
            topics=self.topics,
            name=name,
            group=f"group-{name}",
            options={"kafka": {"security": {"protocol": "sasl_plaintext", "sasl": sasl}}},
        )

    def name_of(self, right: Right) -> str:
        """What is called so in the table is called so here."""
        return self._names[right.name]


def test_they_are_enough_for_exactly_once_and_each_one_that_is_missing_is_named(
    make_kafka: MakeKafka, mosquitto: Mosquitto, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    listed = rights()
    assert len(listed) == 5
    kafka = make_kafka(security=Security(protocol="SASL_PLAINTEXT", users={USER: PASSWORD}), acls=True)
    whole = Case("all", listed, kafka, mosquitto, make_forwarder)
    lacking = {
        right: Case(f"without-{number}", [r for r in listed if r is not right], kafka, mosquitto, make_forwarder)
        for number, right in enumerate(listed)
    }
    cases = [whole, *lacking.values()]
    for case in cases:
        case.forwarder.start(wait_ready=False)
    for case in cases:
        case.forwarder.wait_ready()
    make_publisher(mosquitto).publish([detection(1, agent=1), b"no event"])
    whole.forwarder.wait_until(lambda f: f.ledger()["published"] == 2, timeout=30.0, what="both in Kafka")
    assert whole.forwarder.status()["state"] == "ok"
    for right, case in lacking.items():
        case.forwarder.wait_until(
            lambda f, right=right: (f.status()["state"], f.status()["reason"]) == ("blocked", right.reason),  # type: ignore[misc]
            timeout=30.0,
            what=f"blocked without {right}",
        )
        said = case.forwarder.status()["problems"][0]["detail"]
        assert case.name_of(right) in said, said
        assert right.resource == "transactional id" or f"{right.operation} on " in said, said
        assert case.forwarder.ledger()["in_spool"] == 2
