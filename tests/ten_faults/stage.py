"""The servers that are hurt, and a forwarder of its own for each fault."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.harness.fabric import Fabric
from tests.harness.fake_fabric import FakeFabric
from tests.harness.forwarder import Forwarder
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import FabricPublisher
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tie_forwarder.demo.certificates import Authority

USER, PASSWORD = "forwarder", "right-password-9317"
EVENTS = 20
SHORT_LIFE = timedelta(seconds=45)
"""Of a certificate that is to end; longer than a forwarder takes to start."""

_SMALL_DISK = "48m"


class Stage:
    """One forwarder with a fabric and topics of its own, on a Kafka that asks for a password and for rights."""

    def __init__(
        self,
        *,
        name: str,
        directory: Path,
        authority: Authority,
        kafka: KafkaCluster,
        small_disk: bool,
        deaf: bool,
        short_lived: bool,
    ) -> None:
        self.name = name
        self.directory = directory / name
        self.authority = authority
        self.kafka = kafka
        self.password = self.directory / "password"
        self.topics = Topics.unique(name)
        self.fabric: Fabric = (FakeFabric if deaf else Mosquitto)(
            directory=self.directory / "fabric", authority=authority
        )
        self.forwarder = self._make_forwarder()
        self.certificate_ends: datetime | None = None
        self._small_disk = small_disk
        self._short_lived = short_lived

    @contextmanager
    def open(self) -> Iterator[Stage]:
        """All is well within: the forwarder has published its first events."""
        with ExitStack() as stack:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.password.write_text(PASSWORD)
            assert isinstance(self.fabric, Mosquitto | FakeFabric)
            if self._short_lived:
                self.certificate_ends = datetime.now(UTC) + SHORT_LIFE
                self.authority.issue("forwarder", valid_until=self.certificate_ends)
            stack.enter_context(self.fabric)
            self.topics.create(self.kafka.administration, partitions=1)
            self._grant()
            if self._small_disk:
                stack.enter_context(_disk_of_its_own(self.forwarder.spool_directory))
            stack.callback(self.forwarder.discard)
            self.forwarder.start()
            self.publish(range(EVENTS))
            self.forwarder.wait_until(
                lambda f: f.ledger()["published"] == EVENTS and f.status()["state"] == "ok", timeout=40, what="all well"
            )
            yield self

    def publish(self, numbers: range) -> None:
        """Detections on the fabric."""
        with FabricPublisher(fabric=self.fabric) as publisher:
            publisher.publish_detections(numbers)

    def _make_forwarder(self) -> Forwarder:
        sasl = {"mechanism": "PLAIN", "username": USER, "password_file": str(self.password)}
        options: dict[str, dict[str, Any]] = {
            "kafka": {"security": {"protocol": "sasl_plaintext", "sasl": sasl}},
            "spool": {"max_bytes": "1GiB"},
        }
        return Forwarder(
            directory=self.directory / "forwarder",
            dxl_config=self.fabric.client_config("forwarder"),
            bootstrap_servers=self.kafka.bootstrap_servers,
            topics=self.topics,
            group=f"group-{self.name}",
            options=options,
        )

    def _grant(self) -> None:
        administration = self.kafka.administration
        for topic in (self.topics.detection, self.topics.dead_letter):
            for right in ("write", "read", "describe_configs"):
                administration.grant(USER, right, name=topic)
        for group in (f"group-{self.name}", f"group-{self.name}-replay"):
            administration.grant(USER, "write", resource="transactional_id", name=group)


@contextmanager
def _disk_of_its_own(directory: Path) -> Iterator[None]:
    """A file system of 48 MiB, which only root can mount; `CalledProcessError` for everybody else."""
    directory.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SMALL_DISK}", "tmpfs", str(directory)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
