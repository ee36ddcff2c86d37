"""What `check --connect` asks: whether the publisher would be let in, find its topics and be able to do its work.

Owns: short-lived questions, one line of answer for each. Must not: change anything, or initialise the transactional id,
which would fence the member that publishes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import TransactionalIdNotFoundError

from tie_forwarder.publisher.causes import Causes
from tie_forwarder.publisher.diagnosis import Diagnosis
from tie_forwarder.publisher.errors import REMEDIES, Verdict, classify
from tie_forwarder.publisher.handshake import shake_hands
from tie_forwarder.publisher.output_policy import COMPACTED_REMEDY
from tie_forwarder.publisher.registry import ask_registry
from tie_forwarder.publisher.schema_ids import schemas_by_subject

_TIMEOUTS = {"bootstrap_timeout_ms": 3_000, "request_timeout_ms": 3_000, "reconnect_backoff_max_ms": 500}
_COORDINATOR_SECONDS = 5.0
_ASK_AGAIN_SECONDS = 0.25
_NO_COORDINATOR = ("transactions_unavailable", "timeout", "connection", "unknown")
_SHOWN = ("min.insync.replicas", "cleanup.policy", "retention.ms", "max.message.bytes")


class Finding(NamedTuple):
    """One thing that was tried."""

    well: bool
    subject: str
    found: str
    remedy: str = ""


class Examination:
    """Asks one question after the other; each blocks for some seconds at most. Never raises."""

    def __init__(
        self,
        *,
        connection: dict[str, Any],
        topics: Mapping[str, str],
        group: str | None,
        registry: Mapping[str, Any] | None,
    ) -> None:
        """`topics` are by destination; `group` is the transactional id, None for `at_least_once`."""
        self._connection = connection
        self._by_destination = topics
        self._topics = list(dict.fromkeys(topics.values()))
        self._group = group
        self._registry = registry
        self._causes = Causes()

    def run(self) -> Iterator[Finding]:
        """The findings as they come. Where no server lets the forwarder in, Kafka is asked nothing else."""
        yield from self._look_at_kafka()
        if self._registry is not None:
            yield self._look_at_registry(self._registry)

    def _look_at_kafka(self) -> Iterator[Finding]:
        self._causes.attach()
        welcome = False
        for server in self._connection["bootstrap_servers"]:
            verdict = shake_hands(self._connection, server)
            welcome = welcome or verdict is None
            yield _judged(f"kafka {server}", verdict, "lets this forwarder in")
        if not welcome:
            return
        try:
            admin = KafkaAdminClient(**{**self._connection, **_TIMEOUTS})
        except Exception as error:  # noqa: BLE001 - the library's edge: whatever it raises is translated
            yield _judged("kafka", self._explained(error), "")
            return
        try:
            yield from self._look_at_topics(admin)
            if self._group is not None:
                yield self._look_at_transactions(admin, self._group)
        finally:
            with suppress(Exception):
                admin.close()

    def _look_at_topics(self, admin: Any) -> Iterator[Finding]:
        rights = ["WRITE"] if self._group is None else ["WRITE", "READ"]
        for topic in self._topics:
            diagnosis = Diagnosis(
                connection=self._connection, topics=[topic], rights=rights, causes=self._causes
            )  # one topic at a time, so that each has its own line
            verdict = diagnosis.ask()
            if verdict is not None:
                yield _judged(f"topic {topic}", verdict, "")
                continue
            settings = self._settings(admin, topic)
            if self._group is not None and "compact" in settings.get("cleanup.policy", ""):
                found = f"is compacted (cleanup.policy={settings['cleanup.policy']}), which exactly_once must not be"
                yield Finding(False, f"topic {topic}", found, COMPACTED_REMEDY)
                continue
            yield Finding(True, f"topic {topic}", _described(self._shape(admin, topic), settings))

    def _look_at_transactions(self, admin: Any, group: str) -> Finding:
        """The first question that a cluster is asked makes its transaction log, which takes a moment."""
        subject = f"transactions as {group}"
        deadline = time.monotonic() + _COORDINATOR_SECONDS
        while True:
            try:
                described = admin.describe_transactions([group])[group]
            except TransactionalIdNotFoundError:
                return Finding(True, subject, "the coordinator answers; nobody has published under this name yet")
            except Exception as error:  # noqa: BLE001 - the library's edge: whatever it raises is translated
                verdict = self._explained(error)
                mends_itself = verdict.code in _NO_COORDINATOR
                if not mends_itself or time.monotonic() > deadline:
                    remedy = REMEDIES["transactions_unavailable"] if mends_itself else verdict.remedy
                    return Finding(False, subject, verdict.detail, remedy)
            else:
                return Finding(True, subject, f"the coordinator answers; state {described.state}")
            time.sleep(_ASK_AGAIN_SECONDS)

    def _look_at_registry(self, registry: Mapping[str, Any]) -> Finding:
        answer = ask_registry("examine", registry, schemas_by_subject(registry, self._by_destination))
        subject = f"schema registry {registry['url']}"
        if isinstance(answer, Verdict):
            return _judged(subject, answer, "")
        told = ", ".join(f"{name} {_registered(number)}" for name, number in answer.items())
        return Finding(True, subject, told)

    def _shape(self, admin: Any, topic: str) -> str:
        with suppress(Exception):  # what is shown beside a good finding must not spoil it
            (described,) = admin.describe_topics([topic])
            partitions = described["partitions"]
            replicas = min(len(partition["replica_nodes"]) for partition in partitions)
            return f"{len(partitions)} partitions, {replicas} replicas"
        return "exists"

    def _settings(self, admin: Any, topic: str) -> dict[str, str]:
        """What is told of the topic's configuration; empty where this user may not see it."""
        with suppress(Exception):
            answer = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
            configs = answer["topic"][topic]
            return {name: str(configs[name]["value"]) for name in _SHOWN if name in configs}
        return {}

    def _explained(self, error: Exception) -> Verdict:
        return self._causes.explain(classify(error))


def _described(shape: str, settings: dict[str, str]) -> str:
    told = [f"{name}={value}" for name, value in settings.items()]
    return ", ".join([shape, *(told or ["its configuration may not be seen by this user"])])


def _registered(schema_id: int | None) -> str:
    return "would be taken" if schema_id is None else f"is registered as {schema_id}"


def _judged(subject: str, verdict: Verdict | None, well: str) -> Finding:
    if verdict is None:
        return Finding(True, subject, well)
    return Finding(False, subject, verdict.detail, verdict.remedy)
