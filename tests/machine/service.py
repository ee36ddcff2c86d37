"""The service inside of a machine: its files as docs/deploy.md lays them out, and the fabric and Kafka outside."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.mosquitto import Mosquitto
from tests.harness.ports import free_port
from tests.harness.topics import Topics
from tests.machine.machine import Machine
from tests.systemd.site import lay_out

USER, PASSWORD = "tie-forwarder", "right-password-2207"


class Service:
    """One service: `place` is empty for tie-forwarder.service, and the name of the fabric for the template's."""

    def __init__(
        self, *, machine: Machine, fabric: Mosquitto, kafka: KafkaCluster, topics: Topics, place: str = ""
    ) -> None:
        self._machine = machine
        self._fabric = fabric
        self.unit = f"tie-forwarder@{place}.service" if place else "tie-forwarder.service"
        self.etc = machine.root / "etc/tie-forwarder" / place
        self.spool = machine.root / "var/lib/tie-forwarder" / place / "spool"
        self.credential = (
            machine.root / "etc/credstore" / ".".join(filter(None, ("tie-forwarder", place, "kafka-password")))
        )
        self.port = free_port()
        sasl = {"mechanism": "SCRAM-SHA-512", "username": USER, "password_file": "kafka-password"}
        self.config: dict[str, dict[str, Any]] = {
            "kafka": {
                "bootstrap_servers": list(kafka.bootstrap_servers),
                "topics": topics.configuration(),
                "security": {"protocol": "sasl_plaintext", "sasl": sasl},
            },
            "group": {"name": topics.detection, "member": place or "node-1"},
            "shutdown": {"drain_seconds": 3},
            "http": {"listen": f"127.0.0.1:{self.port}"},
        }

    def configure(self) -> None:
        """Write configuration, certificates and the secret, with the rights that the document gives them."""
        self.lay_out()
        self._machine.shell(
            "chown -R root:tie-forwarder /etc/tie-forwarder && chmod -R u=rwX,g=rX,o= /etc/tie-forwarder"
        )
        self.write_secret(PASSWORD)

    def lay_out(self) -> None:
        """Write configuration and certificates, as root leaves them."""
        self.etc.mkdir(exist_ok=True)
        name = self.config["group"]["member"]
        lay_out(self.etc, fabric=self._fabric, name=name, config=self.config, spool=self._spool)

    def write_secret(self, password: str) -> None:
        """Kafka's password, in the store of the service manager."""
        self.credential.write_text(f"{password}\n")
        self.credential.chmod(0o600)

    def status(self) -> dict[str, Any]:
        """What /status says; `OSError` while nobody answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status", timeout=5) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    def has(self, **ledger: int) -> bool:
        """Whether the ledger says so; false while nobody answers."""
        try:
            found = self.status()["ledger"]
        except OSError:
            return False
        return all(found[name] == count for name, count in ledger.items())

    @property
    def _spool(self) -> str:
        return f"/{self.spool.relative_to(self._machine.root)}"


def copy_into(machine: Machine, file: Path) -> str:
    """A file in the machine's /root; its path there."""
    shutil.copy(file, machine.root / "root" / file.name)
    return f"/root/{file.name}"
