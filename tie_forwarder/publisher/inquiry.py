"""What `check --connect` asks Kafka: questions that change nothing, with plain values as answers.

Owns: one short-lived administrative client. Must not: judge an answer, or initialise a transactional id, which would
fence the member that publishes. Every failure is a PublisherError with its true cause.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.admin._transactions import CoordinatorType
from kafka.errors import TopicAlreadyExistsError, TransactionalIdNotFoundError, for_code
from kafka.protocol.admin.cluster import DescribeQuorumRequest
from kafka.protocol.producer.transaction import EndTxnRequest

from tie_forwarder.publisher.causes import Causes
from tie_forwarder.publisher.errors import PublisherError, classify

_TIMEOUTS = {"bootstrap_timeout_ms": 2_000, "request_timeout_ms": 2_000, "reconnect_backoff_max_ms": 500}
_NOBODYS_PRODUCER = 2**62
"""No cluster has given out so many; -1 would stand for "none", which a transactional id may have."""

_UNKNOWN_PRODUCER = 49
_NO_ERROR, _MISSING, _UNAUTHORIZED = 0, 3, 29
_COORDINATOR_SECONDS = 3.0
_ASK_AGAIN_SECONDS = 0.2
_NO_COORDINATOR = ("transactions_unavailable", "timeout", "connection", "unknown")


class Cluster(NamedTuple):
    """What the cluster says of itself."""

    id: str
    controller: int


class Topic(NamedTuple):
    """One topic. `rights` is None where they are not told; `settings` are empty where this user may not see them."""

    missing: bool
    hidden: bool
    leaderless: int
    replicas: list[int]
    """Of each partition."""
    in_sync: list[int]
    rights: list[str] | None
    settings: dict[str, str]


class Inquiry:
    """Asks one question after the other; each blocks for some seconds at most. One thread."""

    def __init__(self, connection: dict[str, Any]) -> None:
        self._connection = connection
        self._causes = Causes()
        self._admin: Any = None

    def __enter__(self) -> Inquiry:
        self._causes.attach()
        with self._told():
            self._admin = KafkaAdminClient(**{**self._connection, **_TIMEOUTS})
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # nothing depends on how it ends
            self._admin.close()

    def brokers(self) -> list[str]:
        """The brokers that the bootstrap server has named, as host:port; asks nothing."""
        known = self._admin._manager.cluster.brokers()  # noqa: SLF001 - every public call wants one of them to answer
        return sorted(
            f"[{broker.host}]:{broker.port}" if ":" in broker.host else f"{broker.host}:{broker.port}"
            for broker in known
        )

    def cluster(self) -> Cluster:
        """Which cluster this is."""
        with self._told():
            told = self._admin.describe_cluster()
        return Cluster(str(told["cluster_id"]), int(told["controller_id"]))

    def topics(self, names: Sequence[str]) -> dict[str, Topic]:
        """Each of the topics."""
        with self._told():
            told = {topic["name"]: topic for topic in self._admin.describe_topics(list(names))}
        settings = self._settings(ConfigResourceType.TOPIC, names)
        return {name: _topic(told[name], settings.get(name, {})) for name in names if name in told}

    def broker_settings(self, broker: int) -> dict[str, str]:
        """The configuration of a broker; empty where this user may not see it."""
        return self._settings(ConfigResourceType.BROKER, [str(broker)]).get(str(broker), {})

    def create(self, topic: str) -> None:
        """Makes the topic with the cluster's own number of partitions and replicas; returns once it has leaders."""
        options = {"num_partitions": -1, "replication_factor": -1}
        with self._told(), suppress(TopicAlreadyExistsError):
            self._admin.create_topics({topic: options}, wait_for_metadata=True)

    def transaction_state(self, transactional_id: str) -> str:
        """What the coordinator knows of the id, empty where nothing.

        The first question that a cluster is asked makes its transaction log, which takes a moment.
        """
        deadline = time.monotonic() + _COORDINATOR_SECONDS
        while True:
            try:
                with self._told():
                    return str(self._admin.describe_transactions([transactional_id])[transactional_id].state.value)
            except PublisherError as error:
                if isinstance(error.__cause__, TransactionalIdNotFoundError):
                    return ""
                if error.verdict.code not in _NO_COORDINATOR or time.monotonic() > deadline:
                    raise
            time.sleep(_ASK_AGAIN_SECONDS)

    def try_to_write(self, transactional_id: str) -> None:
        """Raises where this user may not write under the id.

        Asks to end a transaction of a producer that nobody is: Kafka looks at the right first, and then refuses. The
        producer that uses the id now is not touched.
        """

        async def end() -> Any:
            ids = [transactional_id]
            coordinators = await self._admin._find_coordinator_ids(ids, key_type=CoordinatorType.TRANSACTION)  # noqa: SLF001 - no public call asks this
            request = EndTxnRequest(
                transactional_id=transactional_id, producer_id=_NOBODYS_PRODUCER, producer_epoch=0, committed=False
            )
            return await self._send(request, coordinators[transactional_id])

        with self._told():
            code = self._admin._manager.run(end).error_code  # noqa: SLF001 - as above
            if code not in (_NO_ERROR, _UNKNOWN_PRODUCER):
                raise for_code(code)()

    def controller_clock_ms(self) -> int | None:
        """The controller's clock, in milliseconds since the epoch; None where it does not tell.

        Among what it says of its quorum stands when each voter was last heard, and of itself that is now.
        """
        topic = DescribeQuorumRequest.TopicData
        metadata = topic(topic_name="__cluster_metadata", partitions=[topic.PartitionData(partition_index=0)])
        with self._told():
            answer = self._admin._manager.run(self._send, DescribeQuorumRequest(topics=[metadata]))  # noqa: SLF001 - as above
            if answer.error_code:
                raise for_code(answer.error_code)()
        quorum = answer.topics[0].partitions[0]
        times = [
            voter.last_caught_up_timestamp for voter in quorum.current_voters if voter.replica_id == quorum.leader_id
        ]
        return int(times[0]) if times and times[0] > 0 else None

    async def _send(self, request: Any, node: int | None = None) -> Any:
        return await self._admin._manager.send(request, node_id=node)  # noqa: SLF001 - as above

    def _settings(self, kind: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """By name; missing or unseen things are left out."""
        with suppress(Exception):  # what may not be seen is told as that, and must not spoil the rest
            answer = self._admin.describe_configs([ConfigResource(kind, name) for name in names], config_filter="all")
            return {
                name: {option: str(value["value"]) for option, value in options.items()}
                for found in answer.values()
                for name, options in found.items()
            }
        return {}

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except PublisherError:
            raise
        except Exception as error:  # the library's edge: whatever it raises is translated
            raise PublisherError(self._causes.explain(classify(error))) from error


def _topic(told: dict[str, Any], settings: dict[str, str]) -> Topic:
    partitions = told["partitions"]
    if told["error_code"] not in (_NO_ERROR, _MISSING, _UNAUTHORIZED):
        verdict = classify(for_code(told["error_code"])())
        raise PublisherError(verdict)
    return Topic(
        missing=told["error_code"] == _MISSING,
        hidden=told["error_code"] == _UNAUTHORIZED,
        leaderless=sum(partition["leader_id"] < 0 for partition in partitions),
        replicas=[len(partition["replica_nodes"]) for partition in partitions],
        in_sync=[len(partition["isr_nodes"]) for partition in partitions],
        rights=told.get("authorized_operations"),
        settings=settings,
    )
