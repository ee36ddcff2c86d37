"""An Apache Kafka cluster of one or three nodes on 127.0.0.1.

Owns: which nodes there are, their ports, and how clients reach them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness.kafka.administration import Administration
from tests.harness.kafka.installation import Installation, random_id
from tests.harness.kafka.node import QUICK_START, KafkaNode
from tests.harness.kafka.properties import Ports, Security, node_properties
from tests.harness.ports import free_port
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class KafkaCluster:
    """A cluster; the verbs act on all nodes, those of `nodes[n]` on one.

    Topics get as many replicas as there are nodes. `properties` are added to every node's server.properties. `acls`
    lets only those do anything who were granted it, so it needs clients with names: SASL, or TLS with certificates.
    """

    def __init__(
        self,
        *,
        directory: Path,
        nodes: int = 1,
        security: Security | None = None,
        acls: bool = False,
        properties: Mapping[str, object] | None = None,
        java_options: Sequence[str] = QUICK_START,
        installation: Installation | None = None,
    ) -> None:
        self.security = security or Security()
        if acls and self.security.protocol == "PLAINTEXT":
            raise ValueError("acls needs clients with names: choose a security protocol other than PLAINTEXT")
        if self.security.tls and self.security.authority is None:
            raise ValueError(f"{self.security.protocol} needs an authority that signs the brokers' certificates")
        authority = self.security.authority
        identity = authority.issue("kafka") if authority is not None else None
        secured = self.security.protocol != "PLAINTEXT"
        self._ports = {node: _ports(secured=secured) for node in range(1, nodes + 1)}
        cluster_id = random_id()
        self.nodes = [
            KafkaNode(
                node_id=node,
                cluster_id=cluster_id,
                directory=directory / f"node-{node}",
                client_port=ports.client,
                properties=node_properties(
                    node_id=node,
                    ports=self._ports,
                    security=self.security,
                    acls=acls,
                    broker_identity=identity,
                    data_directory=str(directory / f"node-{node}" / "data"),
                    extra=properties or {},
                ),
                installation=installation or Installation(),
                heap_megabytes=512 if nodes == 1 else 320,
                java_options=java_options,
            )
            for node, ports in self._ports.items()
        ]

    @property
    def bootstrap_servers(self) -> list[str]:
        """Where clients connect, as `security` says."""
        return [f"127.0.0.1:{ports.client}" for ports in self._ports.values()]

    @property
    def internal_servers(self) -> list[str]:
        """Where the tests themselves connect: no security, every right."""
        return [f"127.0.0.1:{ports.internal}" for ports in self._ports.values()]

    @property
    def administration(self) -> Administration:
        """What a cluster's administrator does."""
        return Administration(self.internal_servers)

    def start(self) -> None:
        """Start all nodes and block until each of them serves clients and knows the others."""
        for node in self.nodes:
            node.start(wait_ready=False)
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        if self.security.sasl:
            self.administration.set_scram_users(self.security.users)

    def wait_ready(self) -> None:
        """Block until every node serves clients and the cluster counts all of them as alive."""
        for node in self.nodes:
            node.wait_ready()
        if len(self.nodes) > 1:
            wait_until(
                lambda: self.administration.living_brokers() == len(self.nodes),
                timeout=30.0,
                what=f"{len(self.nodes)} living brokers",
            )

    def terminate(self) -> None:
        """Send SIGTERM to all nodes and block until they have ended."""
        for node in self.nodes:
            # The last two of three would wait for a quorum that is gone; their siblings' end is no reason to.
            node.terminate() if len(self.nodes) == 1 else node.stop()

    def kill(self) -> None:
        """Send SIGKILL to all nodes and block until they have ended."""
        for node in self.nodes:
            node.kill()

    def hang(self) -> None:
        """Stop all nodes with SIGSTOP."""
        for node in self.nodes:
            node.hang()

    def resume(self) -> None:
        """Let all nodes go on."""
        for node in self.nodes:
            node.resume()

    def restart(self) -> None:
        """Start all nodes again on the same ports and data, after ending what still runs; block until ready."""
        for node in self.nodes:
            node.stop()
            node.start(wait_ready=False)
        self.wait_ready()

    def stop(self) -> None:
        """End all nodes at once, whatever their state."""
        for node in self.nodes:
            node.stop()

    def discard(self) -> None:
        """End all nodes at once and remove their data."""
        for node in self.nodes:
            node.discard()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def _ports(*, secured: bool) -> Ports:
    internal = free_port()
    return Ports(internal=internal, controller=free_port(), client=free_port() if secured else internal)
