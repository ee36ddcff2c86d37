"""Asking Kafka why nothing moves: a fresh administrative client, short timeouts, the output topics."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from tie_forwarder.publisher.causes import Causes
from tie_forwarder.publisher.errors import REMEDIES, ErrorClass, Verdict, classify

_TIMEOUT_MS = 3_000
_DEADLINE_SECONDS = 8.0


class Diagnosis:
    """Finds the cause of standing still. Any thread; blocks for at most `_DEADLINE_SECONDS`."""

    def __init__(self, *, connection: dict[str, Any], topics: Sequence[str], causes: Causes) -> None:
        self._settings = {
            **connection,
            "bootstrap_timeout_ms": _TIMEOUT_MS,
            "request_timeout_ms": _TIMEOUT_MS,
            "reconnect_backoff_max_ms": 500,
        }
        self._topics = list(topics)
        self._causes = causes

    def ask(self) -> Verdict | None:
        """What keeps the topics from taking records; None when Kafka answers and all looks well."""
        found: list[Verdict | None] = []
        thread = threading.Thread(target=lambda: found.append(self._ask()), name="diagnosis", daemon=True)
        thread.start()
        thread.join(_DEADLINE_SECONDS)
        if not found:
            silent = Verdict(ErrorClass.TRANSIENT, "connection", "Kafka does not answer", REMEDIES["connection"])
            return self._causes.explain(silent)
        return found[0]

    def _ask(self) -> Verdict | None:
        admin = None
        try:
            admin = KafkaAdminClient(**self._settings)
            topics = admin.describe_topics(self._topics)
            return self._judge(admin, topics)
        except Exception as error:  # noqa: BLE001 - the library's edge: whatever it raises is translated
            return self._causes.explain(classify(error))
        finally:
            if admin is not None:
                with suppress(Exception):
                    admin.close()

    def _judge(self, admin: Any, topics: Sequence[dict[str, Any]]) -> Verdict | None:
        for topic in topics:
            name = topic.get("name") or topic.get("topic")
            code = topic.get("error_code", 0)
            if code == 3:
                return _blocked("unknown_topic", f"the topic {name} does not exist")
            if code == 29:
                return _blocked("topic_authorization", f"this user may not use the topic {name}")
            replicas = _least_in_sync(topic)
            needed = _needed_in_sync(admin, str(name))
            if replicas is None:
                return Verdict(ErrorClass.TRANSIENT, "leader_election", f"a partition of {name} has no leader")
            if replicas < needed:
                detail = f"a partition of {name} has {replicas} replicas in sync, and min.insync.replicas is {needed}"
                return Verdict(ErrorClass.TRANSIENT, "not_enough_replicas", detail, "bring the missing brokers back")
        return None


def _blocked(code: str, detail: str) -> Verdict:
    return Verdict(ErrorClass.BLOCKED, code, detail, REMEDIES[code])


def _least_in_sync(topic: dict[str, Any]) -> int | None:
    """The smallest number of replicas in sync of any partition; None when one has no leader."""
    partitions = topic.get("partitions", [])
    if any(partition.get("leader_id", partition.get("leader", 0)) in (-1, None) for partition in partitions):
        return None
    return min((len(partition.get("isr_nodes", partition.get("isr", [0]))) for partition in partitions), default=1)


def _needed_in_sync(admin: Any, topic: str) -> int:
    """`min.insync.replicas` of the topic; 1 where we may not read it."""
    with suppress(Exception):
        answer = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        for configs in answer["topic"].values():
            return int(configs["min.insync.replicas"]["value"])
    return 1
