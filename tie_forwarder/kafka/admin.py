"""Questions to Kafka's admin API that change nothing: topics and their settings, rights, clock, quorum."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.admin._transactions import CoordinatorType
from kafka.errors import (
    BrokerResponseError,
    IncompatibleBrokerVersion,
    TopicAlreadyExistsError,
    TransactionalIdNotFoundError,
    for_code,
)
from kafka.protocol.admin.cluster import DescribeQuorumRequest
from kafka.protocol.producer.transaction import EndTxnRequest

from tie_forwarder.kafka.errors import Causes, PublisherError, classify

_TIMEOUT_MS = 3_000
_FRESH_SECONDS = 30.0
_NAMES = ("cleanup.policy", "max.message.bytes", "compression.type", "min.insync.replicas")
COMPACTED_REMEDY = "set cleanup.policy=delete on the topic: a key's newer record would take the place of its older ones"


class TopicSettings:
    """The settings of the topics, as last read. Thread-safe."""

    def __init__(
        self,
        *,
        connection: dict[str, Any],
        topics: Sequence[str],
        on_compacted: Callable[[list[str]], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_compacted` is called with the compacted topics when they are first known and when they change."""
        self._connection = connection
        self._topics = list(topics)
        self._on_compacted = on_compacted
        self._monotonic = monotonic
        self._settings: dict[str, dict[str, str]] = {}
        self._compacted: list[str] | None = None
        self._asked_at = float("-inf")
        self._asking: threading.Thread | None = None

    @property
    def known(self) -> bool:
        """Whether Kafka has told any setting."""
        return bool(self._settings)

    def of(self, topic: str) -> dict[str, str]:
        """The settings of the topic by name; empty while they are not known."""
        return self._settings.get(topic, {})

    def most_bytes(self, topic: str) -> int | None:
        """The largest batch of records that the topic takes; None while that is not known."""
        found = self.of(topic).get("max.message.bytes")
        return None if found is None else int(found)

    def read(self, admin: Any) -> None:
        """Asks over this client, and blocks for the answer up to the client's time-out. Never raises."""
        self._asked_at = self._monotonic()
        with suppress(Exception):  # what is known stays; the next question may be answered
            resources = [ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(_NAMES)) for name in self._topics]
            answer = admin.describe_configs(resources, config_filter="all").get("topic", {})
            self._settings = {
                topic: {name: str(found["value"]) for name, found in configuration.items()}
                for topic, configuration in answer.items()
            }
            self._tell_compacted()

    def refresh(self, *, wait_seconds: float, even_if_fresh: bool = False) -> None:
        """Asks again with a client of its own, unless the last question is less than half a minute old.

        Waits for the answer so long at most; one that comes later counts, too.
        """
        if self._asking is None or not self._asking.is_alive():
            if self._monotonic() - self._asked_at < _FRESH_SECONDS and not even_if_fresh:
                return
            self._asked_at = self._monotonic()
            self._asking = threading.Thread(target=self._ask, name="topic-settings", daemon=True)
            self._asking.start()
        self._asking.join(wait_seconds)

    def _ask(self) -> None:
        with suppress(Exception):  # as above
            admin = KafkaAdminClient(
                **self._connection, bootstrap_timeout_ms=_TIMEOUT_MS, request_timeout_ms=_TIMEOUT_MS
            )
            try:
                self.read(admin)
            finally:
                admin.close()

    def _tell_compacted(self) -> None:
        policies = {topic: self.of(topic).get("cleanup.policy", "") for topic in self._topics}
        compacted = [topic for topic, policy in policies.items() if "compact" in policy]
        if compacted != self._compacted and (compacted or all(policies.values())):
            self._compacted = compacted
            self._on_compacted(compacted)


_TIMEOUTS = {"bootstrap_timeout_ms": 2_000, "request_timeout_ms": 2_000, "reconnect_backoff_max_ms": 500}
_NOBODYS_PRODUCER = 2**62
"""No cluster has given out so many; -1 would stand for "none", which a transactional id may have."""

_UNKNOWN_PRODUCER = 49
_NO_ERROR, _MISSING, _UNAUTHORIZED, _CLUSTER_UNAUTHORIZED = 0, 3, 29, 31
_COORDINATOR_SECONDS = 3.0
_ASK_AGAIN_SECONDS = 0.2
_NO_COORDINATOR = ("transactions_unavailable", "timeout", "connection", "unknown")


class Cluster(NamedTuple):
    """What the cluster says of itself."""

    id: str
    controller: int


class Topic(NamedTuple):
    """One topic. `rights` is None where Kafka does not tell them."""

    missing: bool
    hidden: bool
    leaderless: int
    replicas: list[int]
    """Of each partition."""
    in_sync: list[int]
    rights: list[str] | None
    settings: dict[str, str]
    """What Kafka tells of its configuration."""
    untold: str = ""
    """Why it tells nothing of it; empty where it tells something."""


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
        return {name: _topic(told[name], *settings[name]) for name in names if name in told}

    def broker_settings(self, broker: int) -> dict[str, str]:
        """The configuration of a broker; empty where Kafka does not tell it."""
        return self._settings(ConfigResourceType.BROKER, [str(broker)], node=broker)[str(broker)][0]

    def create(self, topic: str) -> None:
        """Makes the topic with the cluster's own number of partitions and replicas; returns once it has leaders."""
        options = {"num_partitions": -1, "replication_factor": -1}
        with self._told(), suppress(TopicAlreadyExistsError):
            try:
                self._admin.create_topics({topic: options}, wait_for_metadata=True)
            except BrokerResponseError as error:
                raise type(error)() from error  # without the text, which is the whole request and its answer

    def transaction_state(self, transactional_id: str) -> str | None:
        """What the coordinator knows of the id: empty where nothing, None where it cannot be asked.

        The first question that a cluster is asked makes its transaction log, which takes a moment.
        """
        deadline = time.monotonic() + _COORDINATOR_SECONDS
        while True:
            try:
                return self._describe_transaction(transactional_id)
            except PublisherError as error:
                if error.verdict.code not in _NO_COORDINATOR or time.monotonic() > deadline:
                    raise
            time.sleep(_ASK_AGAIN_SECONDS)

    def _describe_transaction(self, transactional_id: str) -> str | None:
        try:
            with self._told():
                return str(self._admin.describe_transactions([transactional_id])[transactional_id].state.value)
        except PublisherError as error:
            if isinstance(error.__cause__, TransactionalIdNotFoundError):
                return ""
            if not isinstance(error.__cause__, IncompatibleBrokerVersion):
                raise
            # Kafka before 3.0 cannot describe transactions; that there is a coordinator is proof enough.
            self._find_coordinator(transactional_id)
            return None

    def try_to_write(self, transactional_id: str) -> None:
        """Raises where this user may not write under the id.

        Asks to end a transaction of a producer that nobody is: Kafka looks at the right first, and then refuses. The
        producer that uses the id now is not touched.
        """

        request = EndTxnRequest(
            transactional_id=transactional_id, producer_id=_NOBODYS_PRODUCER, producer_epoch=0, committed=False
        )
        coordinator = self._find_coordinator(transactional_id)
        with self._told():
            code = self._run(self._send, request, coordinator).error_code
            if code not in (_NO_ERROR, _UNKNOWN_PRODUCER):
                raise for_code(code)()

    def controller_clock_ms(self) -> int | None:
        """The controller's clock, in milliseconds since the epoch; None where this Kafka tells it to nobody.

        Among what it says of its quorum stands when each voter was last heard, and of itself that is now.
        """
        topic = DescribeQuorumRequest.TopicData
        metadata = topic(topic_name="__cluster_metadata", partitions=[topic.PartitionData(partition_index=0)])
        try:
            with self._told():
                answer = self._run(self._send, DescribeQuorumRequest(topics=[metadata]))
                if answer.error_code:
                    raise for_code(answer.error_code)()
        except PublisherError as error:
            if isinstance(error.__cause__, IncompatibleBrokerVersion):
                return None
            raise
        quorum = answer.topics[0].partitions[0]
        times = [
            voter.last_caught_up_timestamp for voter in quorum.current_voters if voter.replica_id == quorum.leader_id
        ]
        return int(times[0]) if times and times[0] > 0 else None

    def _find_coordinator(self, transactional_id: str) -> int:
        async def find() -> int:
            found = await self._admin._find_coordinator_ids([transactional_id], key_type=CoordinatorType.TRANSACTION)  # noqa: SLF001 - no public call asks this
            return int(found[transactional_id])

        with self._told():
            return int(self._run(find))

    def _run(self, coroutine: Any, *arguments: Any) -> Any:
        return self._admin._manager.run(coroutine, *arguments)  # noqa: SLF001 - as above

    async def _send(self, request: Any, node: int | None = None) -> Any:
        return await self._admin._manager.send(request, node_id=node)  # noqa: SLF001 - as above

    def _settings(
        self, kind: Any, names: Sequence[str], *, node: int | None = None
    ) -> dict[str, tuple[dict[str, str], str]]:
        """By name the configuration, and where there is none, why.

        The public call drops the error code, and an empty answer without one does not mean that a right is missing.
        """
        request = self._admin._describe_configs_request([ConfigResource(kind, name) for name in names])  # noqa: SLF001 - as above
        try:
            with self._told():
                answer = self._run(self._send, request, node)
        except PublisherError as error:  # the topics themselves may be known all the same
            return {name: ({}, f"{_NO_SETTINGS}: {error.verdict.detail}") for name in names}
        results = {result.resource_name: result for result in answer.results}
        return {name: _settings_in(results.get(name)) for name in names}

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except PublisherError:
            raise
        except Exception as error:  # the library's edge: whatever it raises is translated
            raise PublisherError(self._causes.explain(classify(error))) from error


_NO_SETTINGS = "Kafka does not tell the configuration"


def _settings_in(result: Any) -> tuple[dict[str, str], str]:
    if result is not None and result.error_code in (_UNAUTHORIZED, _CLUSTER_UNAUTHORIZED):
        return {}, "this user may not see the configuration (DescribeConfigs)"
    if result is not None and result.error_code:
        return {}, f"{_NO_SETTINGS}: {for_code(result.error_code).__name__}"
    settings = {} if result is None else {each.name: each.value for each in result.configs if each.value is not None}
    return settings, "" if settings else _NO_SETTINGS


def _topic(told: dict[str, Any], settings: dict[str, str], untold: str) -> Topic:
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
        # Who may describe a topic has that right at least, so an empty list is no answer.
        rights=told.get("authorized_operations") or None,
        settings=settings,
        untold=untold,
    )
