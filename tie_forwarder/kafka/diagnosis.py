"""Why nothing moves, asked of Kafka with short time-outs, and the seat of the publishing member.

A member that leaves in order leaves its seat vacant, so that a standby need not wait for the takeover time.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError, TransactionalIdNotFoundError

from tie_forwarder.kafka.admin import TopicSettings
from tie_forwarder.kafka.deadline import Deadline
from tie_forwarder.kafka.errors import REMEDIES, Causes, ErrorClass, Verdict, classify
from tie_forwarder.kafka.handshake import ask_servers
from tie_forwarder.kafka.producer import PRODUCER, VACANT_TIMEOUT_MS

_TIMEOUT_MS = 3_000
_DEADLINE_SECONDS = 8.0
"""Below the time after which the parent misses a sign of life: the thread that gives it may be the one that asks."""
_MISSING, _UNAUTHORIZED = 3, 29
_NAMED = 3


class Diagnosis:
    """Finds the cause of standing still. Any thread; blocks for at most `_DEADLINE_SECONDS`.

    `rights` are the operations that this user needs on every topic, in Kafka's words (WRITE, READ).
    """

    def __init__(
        self,
        *,
        connection: dict[str, Any],
        topics: Sequence[str],
        rights: Sequence[str],
        settings: TopicSettings,
        causes: Causes,
    ) -> None:
        self._connection = connection
        self._settings = {
            **connection,
            "bootstrap_timeout_ms": _TIMEOUT_MS,
            "request_timeout_ms": _TIMEOUT_MS,
            "reconnect_backoff_max_ms": 500,
        }
        self._topics = list(topics)
        self._rights = list(rights)
        self._topic_settings = settings
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
        refusal = ask_servers(self._connection)
        if refusal is not None:
            return refusal
        admin = None
        try:
            admin = KafkaAdminClient(**self._settings)
            topics = admin.describe_topics(self._topics)
            return self._unusable(topics) or self._unready(admin, topics)
        except Exception as error:  # noqa: BLE001 - the library's edge: whatever it raises is translated
            return self._causes.explain(classify(error))
        finally:
            if admin is not None:
                with suppress(Exception):  # a client that failed may raise anything while it closes
                    admin.close()

    def _unusable(self, topics: Sequence[dict[str, Any]]) -> Verdict | None:
        """What a person must mend, all topics in one sentence."""
        by_code: dict[int, list[str]] = {}
        for topic in topics:
            by_code.setdefault(topic["error_code"], []).append(topic["name"])
        if _MISSING in by_code:
            names = ", ".join(sorted(by_code[_MISSING]))
            return _blocked("unknown_topic", f"missing in Kafka: {names}")
        if _UNAUTHORIZED in by_code:
            names = ", ".join(sorted(by_code[_UNAUTHORIZED]))
            return _blocked("topic_authorization", f"this user may not even describe {names}")
        lacking = [
            f"{right.capitalize()} on {topic['name']}"
            for topic in topics
            for right in self._rights
            if topic.get("authorized_operations") and right not in topic["authorized_operations"]
        ]
        if lacking:
            return _blocked("topic_authorization", f"this user lacks {', '.join(lacking)}")
        return None

    def _unready(self, admin: Any, topics: Sequence[dict[str, Any]]) -> Verdict | None:
        """What Kafka mends by itself once its brokers are back; reads the topics' settings, too."""
        leaderless = _leaderless(topics)
        if leaderless:
            return Verdict(ErrorClass.TRANSIENT, "leader_election", leaderless, REMEDIES["leader_election"])
        partitions = [partition for topic in topics for partition in topic["partitions"]]
        behind = any(len(partition["isr_nodes"]) < len(partition["replica_nodes"]) for partition in partitions)
        if behind or not self._topic_settings.known:
            self._topic_settings.read(admin)
        for topic in topics:
            name, partitions = topic["name"], topic["partitions"]
            replicas = min(len(partition["isr_nodes"]) for partition in partitions)
            needed = int(self._topic_settings.of(name).get("min.insync.replicas", 1))
            if replicas < needed:
                detail = f"a partition of {name} has {replicas} replicas in sync, and min.insync.replicas is {needed}"
                return Verdict(ErrorClass.TRANSIENT, "not_enough_replicas", detail, REMEDIES["not_enough_replicas"])
        return None


def _leaderless(topics: Sequence[dict[str, Any]]) -> str:
    """Which partitions have no leader, and which brokers they miss; empty where each has one."""
    found = [
        f"partition {partition['partition_index']} of {topic['name']} has no leader: {_brokers(partition)}"
        for topic in topics
        for partition in topic["partitions"]
        if partition["leader_id"] < 0
    ]
    more = [f"and {len(found) - _NAMED} more"] if len(found) > _NAMED else []
    return "; ".join([*found[:_NAMED], *more])


def _brokers(partition: dict[str, Any]) -> str:
    missing = sorted(partition["offline_replicas"] or partition["replica_nodes"])
    names = ", ".join(map(str, missing))
    return f"broker {names} is missing" if len(missing) == 1 else f"brokers {names} are missing"


def _blocked(code: str, detail: str) -> Verdict:
    return Verdict(ErrorClass.BLOCKED, code, detail, REMEDIES[code])


_SEAT_TIMEOUT_MS = 3_000
_VACATE_SECONDS = 20.0


class Seat:
    """The group's seat as Kafka's coordinator knows it. Any call may block for some seconds; none raises."""

    def __init__(self, *, connection: dict[str, Any], group: str, deadline: Deadline) -> None:
        self._connection = connection
        self._group = group
        self._deadline = deadline
        self._admin: Any = None

    def is_vacant(self) -> bool:
        """Whether the last member that published has left in an orderly way, or none ever has; false when unknown."""
        try:
            if self._admin is None:
                self._admin = KafkaAdminClient(
                    **self._connection, bootstrap_timeout_ms=_SEAT_TIMEOUT_MS, request_timeout_ms=_SEAT_TIMEOUT_MS
                )
            described = self._admin.describe_transactions([self._group])
        except TransactionalIdNotFoundError:
            return True
        except (KafkaError, OSError, ValueError):
            self._forget()
            return False
        return bool(described[self._group].transaction_timeout_ms == VACANT_TIMEOUT_MS)

    def vacate(self) -> bool:
        """Leaves the seat; only for the member that holds it, with nothing in flight. False when Kafka refuses.

        Like every initialisation it fences whoever publishes, and ends a transaction that a crash left open.
        """
        settings = {**PRODUCER, **self._connection, "max_block_ms": _SEAT_TIMEOUT_MS}
        producer = None
        try:
            with self._deadline.within(_VACATE_SECONDS, "leaving the seat"):
                producer = KafkaProducer(
                    **settings, transactional_id=self._group, transaction_timeout_ms=VACANT_TIMEOUT_MS
                )
                producer.init_transactions()
        except (KafkaError, OSError, ValueError):
            return False
        finally:
            if producer is not None:
                with suppress(Exception):  # a client that failed may raise anything while it closes
                    producer.close(timeout=1)
        return True

    def _forget(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with suppress(Exception):  # a client that failed may raise anything while it closes
                admin.close()
