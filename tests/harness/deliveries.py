"""Both deliveries side by side: two forwarders on one fabric and one Kafka, each with topics and a group of its own.

Owns: how a test starts them, fills their spools beforehand, waits for them and judges them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.conftest import MakeForwarder
from tests.harness.detections import DETECTION_TOPIC, detection, message_id
from tests.harness.fabric import Fabric
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.topics import Topics
from tie_forwarder.events.message import Message
from tie_forwarder.intake import Accepted, Intake
from tie_forwarder.spool import Changes, Incoming, Spool

DELIVERIES = ("at_least_once", "exactly_once")


@dataclass(frozen=True)
class Contender:
    """One forwarder with its delivery and its judge."""

    delivery: str
    forwarder: Forwarder
    topics: Topics
    judge: Judge

    def settle(self, events: int, *, timeout: float = 60.0, state: str | None = "ok") -> None:
        """Block until all these events came and left the spool, and until the state is that; checks the accounts."""
        self.forwarder.wait_until(
            lambda f: (
                f.ledger()["received"] + f.ledger()["in_spool_at_start"] >= events
                and f.ledger()["in_spool"] == 0
                and state in (None, f.status()["state"])
            ),
            timeout=timeout,
            what=f"{self.delivery}: {events} events received and delivered",
        )
        assert self.forwarder.ledger()["imbalance"] == 0

    def assert_delivered(self, numbers: Iterable[int], *, dead_letters: int = 0, outcomes_known: bool = True) -> None:
        """Nothing is lost; with exactly_once, or where no answer of Kafka was lost, each stands once and in order."""
        verdict = self.judge.verdict(numbers)
        if self.delivery == "exactly_once" or outcomes_known:
            verdict.assert_exactly_once(dead_letters=dead_letters)
        else:
            verdict.assert_nothing_lost(dead_letters=dead_letters)
            assert not verdict.out_of_order_per_key, verdict


def side_by_side(
    make_forwarder: MakeForwarder,
    *,
    fabric: Fabric,
    kafka: KafkaCluster,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    configs: Mapping[str, object] | None = None,
    deliveries: Sequence[str] = DELIVERIES,
    partitions: int = 3,
) -> list[Contender]:
    """One forwarder for each delivery, not started yet; `options` and the topics' `configs` are those of both."""
    contenders = []
    for delivery in deliveries:
        topics = Topics.unique(delivery.replace("_", "-")).create(
            kafka.administration, partitions=partitions, configs=configs
        )
        sections = {**(options or {}), "kafka": {**(options or {}).get("kafka", {}), "delivery": delivery}}
        forwarder = make_forwarder(
            fabric=fabric, kafka=kafka, topics=topics, name=delivery, group=topics.detection, options=sections
        )
        judge = Judge(bootstrap_servers=kafka.internal_servers, topics=topics)
        contenders.append(Contender(delivery, forwarder, topics, judge))
    return contenders


def start(contenders: Iterable[Contender]) -> None:
    """Start all and block until each is subscribed."""
    contenders = list(contenders)
    for contender in contenders:
        contender.forwarder.start(wait_ready=False)
    for contender in contenders:
        contender.forwarder.wait_ready()


def fill(
    forwarder: Forwarder, payloads: Mapping[int, bytes], *, received_at_ms: Mapping[int, int] | None = None
) -> None:
    """Put events into the spool of a forwarder that does not run, by their numbers and in their order.

    `received_at_ms` says when some of them were received; the others just now.
    """
    intake = Intake(fabric="main", key_by="agent_guid", kinds=("detection",))
    now = time.time_ns() // 1_000_000
    incoming = []
    for number, payload in payloads.items():
        at = (received_at_ms or {}).get(number, now)
        accepted = intake.accept(Message(message_id(number), DETECTION_TOPIC, "", "", payload, at))
        assert isinstance(accepted, Accepted)
        assert accepted.reason is None
        incoming.append(Incoming(accepted.record, accepted.detection_time))
    spool = Spool(directory=forwarder.spool_directory, max_bytes=1 << 30, drop_oldest=True)
    spool.open()
    try:
        assert spool.apply(Changes(incoming=incoming)).accepted == len(incoming)
    finally:
        spool.close()


def detections(numbers: Iterable[int], *, agents: int = 50) -> dict[int, bytes]:
    """Ordinary payloads by number."""
    return {number: detection(number, agent=number % agents) for number in numbers}
