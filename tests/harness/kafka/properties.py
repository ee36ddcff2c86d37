"""The server.properties of a node.

Owns: how the options of a test become Kafka's. Every node has an INTERNAL listener without security, for its siblings
and for administration, and, where clients must authenticate, a CLIENT listener besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tie_forwarder.demo.certificates import Authority, Identity

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
_MECHANISMS = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"


@dataclass(frozen=True)
class Security:
    """How clients reach the cluster.

    SASL knows `users` (name to password) by PLAIN and by both SCRAMs. TLS takes its certificates from `authority` and,
    with `client_certificates`, asks clients for one; a client's name is then the common name of its certificate.
    """

    protocol: Protocol = "PLAINTEXT"
    users: Mapping[str, str] = field(default_factory=dict)
    authority: Authority | None = None
    client_certificates: bool = False

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.protocol.endswith("SSL")

    @property
    def sasl(self) -> bool:
        """Whether clients log in with name and password."""
        return self.protocol.startswith("SASL")

    def client_settings(
        self, *, user: str | None = None, password: str | None = None, mechanism: str = "PLAIN",
        identity: Identity | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """The settings of kafka-python for a client; the password is the user's right one unless given."""
        settings: dict[str, Any] = {"security_protocol": self.protocol}
        if self.sasl and user is not None:
            settings |= {
                "sasl_mechanism": mechanism,
                "sasl_plain_username": user,
                "sasl_plain_password": self.users[user] if password is None else password,
            }
        if self.authority is not None:
            settings["ssl_cafile"] = str(self.authority.ca_file)
        if identity is not None:
            settings |= {"ssl_certfile": str(identity.certificate), "ssl_keyfile": str(identity.key)}
        return settings


@dataclass(frozen=True)
class Ports:
    """The ports of one node. `client` is the same as `internal` where clients need no security."""

    internal: int
    controller: int
    client: int


def node_properties(
    *,
    node_id: int,
    ports: Mapping[int, Ports],
    security: Security,
    acls: bool,
    broker_identity: Identity | None,
    data_directory: str,
    extra: Mapping[str, object],
) -> str:
    """The text of server.properties; `extra` overrides everything."""
    own, replicas = ports[node_id], min(len(ports), 3)
    listeners = {"INTERNAL": own.internal, "CONTROLLER": own.controller}
    protocols = {"INTERNAL": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
    if own.client != own.internal:
        listeners["CLIENT"] = own.client
        protocols["CLIENT"] = security.protocol
    properties: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": node_id,
        "controller.quorum.voters": ",".join(f"{n}@127.0.0.1:{p.controller}" for n, p in ports.items()),
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items()),
        "advertised.listeners": ",".join(f"{n}://127.0.0.1:{p}" for n, p in listeners.items() if n != "CONTROLLER"),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
        "inter.broker.listener.name": "INTERNAL",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data_directory,
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.num.partitions": 3,
        "transaction.state.log.min.isr": max(1, replicas - 1),
        "group.initial.rebalance.delay.ms": 0,
        # A node that was killed may come back only when its old session is over: by default nine seconds.
        "broker.session.timeout.ms": 2_000 if replicas == 1 else 3_000,
        "broker.heartbeat.interval.ms": 300,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "log.cleaner.dedupe.buffer.size": 2 << 20,
        # Many tests write records of years ago, which retention would delete half a minute after the start of a node.
        "log.initial.task.delay.ms": 24 * 3600 * 1000,
    }
    if security.sasl:
        properties |= _sasl(security)
    if security.tls and broker_identity is not None and security.authority is not None:
        properties |= _tls(security, broker_identity, security.authority)
    if acls:
        properties |= {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",  # the siblings and the administration, by the INTERNAL listener
            "allow.everyone.if.no.acl.found": "false",
        }
    return "".join(f"{name}={value}\n" for name, value in (properties | dict(extra)).items())


def _sasl(security: Security) -> dict[str, object]:
    module = "org.apache.kafka.common.security"
    users = " ".join(f'user_{name}="{password}"' for name, password in security.users.items())
    scram = f"{module}.scram.ScramLoginModule required;"
    return {
        "listener.name.client.sasl.enabled.mechanisms": _MECHANISMS,
        "listener.name.client.plain.sasl.jaas.config": f"{module}.plain.PlainLoginModule required {users};",
        "listener.name.client.scram-sha-256.sasl.jaas.config": scram,
        "listener.name.client.scram-sha-512.sasl.jaas.config": scram,
    }


def _tls(security: Security, identity: Identity, authority: Authority) -> dict[str, object]:
    return {
        "listener.name.client.ssl.keystore.type": "PEM",
        "listener.name.client.ssl.keystore.location": identity.keystore.absolute(),
        "listener.name.client.ssl.truststore.type": "PEM",
        "listener.name.client.ssl.truststore.location": authority.ca_file.absolute(),
        "listener.name.client.ssl.client.auth": "required" if security.client_certificates else "none",
        "listener.name.client.ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
    }
