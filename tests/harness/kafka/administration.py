"""What a Kafka administrator does to a cluster.

Owns: topics, rights, quotas and users, asked through the INTERNAL listener with a new connection each time, so that no
connection is stale after a restart. Every verb blocks until its effect can be seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ConfigResource,
    ConfigResourceType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError, UnknownTopicOrPartitionError
from kafka.protocol.admin.client_quotas import AlterClientQuotasRequest

from tests.harness.waiting import wait_until

_SECONDS = 20.0


class Administration:
    """The administrator of the cluster behind `servers`."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = list(servers)

    def create_topic(
        self, name: str, *, partitions: int = 1, replicas: int = -1, configs: Mapping[str, object] | None = None
    ) -> None:
        """Create a topic and block until every partition has a leader."""
        options = {
            "num_partitions": partitions,
            "replication_factor": replicas,
            "configs": {key: str(value) for key, value in (configs or {}).items()},
        }
        with self._client() as client:
            client.create_topics({name: options}, wait_for_metadata=True)

    def delete_topic(self, name: str) -> None:
        """Delete a topic and block until the cluster no longer knows it."""
        with self._client() as client:
            client.delete_topics([name])
            wait_until(lambda: name not in client.list_topics(), timeout=_SECONDS, what=f"topic {name} deleted")

    def topics(self) -> set[str]:
        """The names of all topics."""
        with self._client() as client:
            return set(client.list_topics())

    def partitions(self, name: str) -> int:
        """How many partitions a topic has; 0 when it does not exist."""
        with self._client() as client:
            try:
                return len(client.describe_topics([name])[0]["partitions"])
            except (UnknownTopicOrPartitionError, IndexError):
                return 0

    def add_partitions(self, name: str, *, total: int) -> None:
        """Raise the number of a topic's partitions to `total` and block until each has a leader."""
        with self._client() as client:
            client.create_partitions({name: total})
            client.wait_for_topics([name])
        wait_until(lambda: self.partitions(name) == total, timeout=_SECONDS, what=f"{total} partitions of {name}")

    def set_topic_config(self, name: str, **configs: object) -> None:
        """Set options of a topic; underscores stand for dots (`max_message_bytes=1000`)."""
        options = {key.replace("_", "."): str(value) for key, value in configs.items()}
        with self._client() as client:
            answers = client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=options)])
        _refuse_errors(answers)

    def grant(self, principal: str, operation: str, *, resource: str = "topic", name: str) -> None:
        """Allow `User:<principal>` an operation (`write`, `read`, ...) on a `topic`, `transactional_id`, `group` ..."""
        with self._client() as client:
            answer = client.create_acls([_acl(principal, operation, resource, name)])
        if answer["failed"]:
            raise RuntimeError(f"{operation} on {resource} {name} was not granted to {principal}: {answer['failed']}")

    def revoke(self, principal: str, operation: str, *, resource: str = "topic", name: str) -> None:
        """Take a granted right back; `LookupError` when there was none."""
        with self._client() as client:
            answers = client.delete_acls([_acl(principal, operation, resource, name)])
        if not any(acls for _, acls, _ in answers):
            raise LookupError(f"{principal} has no right to {operation} on {resource} {name}")

    def set_quota(self, *, client_id: str | None = None, **limits: float | None) -> None:
        """Limit a client id, or all that have no limit of their own: `producer_byte_rate=10_000`; None lifts it."""
        entry = AlterClientQuotasRequest.EntryData
        request = AlterClientQuotasRequest(
            entries=[
                entry(
                    entity=[entry.EntityData(entity_type="client-id", entity_name=client_id)],
                    ops=[entry.OpData(key=k, value=v or 0.0, remove=v is None) for k, v in limits.items()],
                )
            ],
            validate_only=False,
        )
        with self._client() as client:
            response = client._manager.run(client._manager.send, request)
        for answer in response.entries:
            if answer.error_code:
                raise RuntimeError(f"quota of {client_id or 'all clients'} refused: {answer.error_message}")

    def set_scram_users(self, users: Mapping[str, str]) -> None:
        """Give every user its password for SCRAM-SHA-256 and SCRAM-SHA-512."""
        with self._client() as client:
            # One request for each mechanism: Kafka refuses to alter a user twice in one.
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
                answers = client.alter_user_scram_credentials(
                    [UserScramCredentialUpsertion(user, mechanism, password) for user, password in users.items()]
                )
                for user, error in answers.items():
                    if error is not None:
                        raise RuntimeError(f"{mechanism.name} for {user} refused: {error}")
            wait_until(
                lambda: set(users) <= set(client.describe_user_scram_credentials()),
                timeout=_SECONDS,
                what="SCRAM users known",
            )

    def living_brokers(self) -> int:
        """How many brokers the cluster counts as alive; 0 when none answers."""
        try:
            with self._client() as client:
                return sum(not broker["is_fenced"] for broker in client.describe_cluster()["brokers"])
        except KafkaError:
            return 0

    @contextmanager
    def _client(self) -> Iterator[Any]:
        client = KafkaAdminClient(
            bootstrap_servers=self._servers, bootstrap_timeout_ms=10_000, reconnect_backoff_max_ms=200
        )
        try:
            yield client
        finally:
            client.close()


def _acl(principal: str, operation: str, resource: str, name: str) -> Any:
    return ACL(
        principal=f"User:{principal}",
        host="*",
        operation=ACLOperation[operation.upper()],
        permission_type=ACLPermissionType.ALLOW,
        resource_pattern=ResourcePattern(ResourceType[resource.upper()], name),
    )


def _refuse_errors(answers: Mapping[str, Mapping[str, str]]) -> None:
    for answer in answers.values():
        for name, result in answer.items():
            if result != "OK":
                raise RuntimeError(f"{name}: {result}")
