"""A Mosquitto broker with mutual TLS: the fabric of the tests, as far as transport goes.

Owns: its configuration file and its process. Must not: stand for what only a real DXL broker does (stamping of source
ids, permissions per topic).
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from tests.harness.fabric import Fabric
from tests.harness.ports import free_port, is_listening
from tests.harness.server_process import ServerProcess
from tie_forwarder.demo.certificates import Authority


def mosquitto_path() -> str | None:
    """Where the broker is, or None. Debian puts it where only root looks."""
    return shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"]))


class Mosquitto(Fabric, ServerProcess):
    """One broker on 127.0.0.1. It keeps nothing, so a restart forgets what it had queued."""

    def __init__(self, *, directory: Path, authority: Authority) -> None:
        port = free_port()
        config = directory / "mosquitto.conf"
        Fabric.__init__(self, directory=directory, authority=authority, port=port)
        ServerProcess.__init__(
            self,
            name="mosquitto",
            command=[mosquitto_path() or "mosquitto", "-c", str(config)],
            directory=directory,
            ready=lambda: is_listening(port),
            start_timeout=20.0,
        )
        self._config = config
        self._rights = directory / "rights"

    def start(self, *, wait_ready: bool = True) -> None:
        """Write the configuration, start the broker and block until it accepts connections."""
        if not self._config.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            self._config.write_text(self._configuration(), encoding="utf-8")
        super().start(wait_ready=wait_ready)

    def withhold(self, *topics: str) -> None:
        """From now on nobody receives what is published on these topics; all others are free again.

        Subscriptions are granted and kept all the same, as a DXL broker does.
        """
        lines = ["topic readwrite #", *(f"topic deny {topic}" for topic in topics)]
        self._rights.write_text("\n".join(lines) + "\n", encoding="utf-8")
        configuration = self._config.read_text(encoding="utf-8")
        if "acl_file" not in configuration:
            self._config.write_text(f"{configuration}acl_file {self._rights.absolute()}\n", encoding="utf-8")
        self.signal(signal.SIGHUP)

    def _configuration(self) -> str:
        identity = self.identity("broker")
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"cafile {self.authority.ca_file.absolute()}",
            f"certfile {identity.certificate.absolute()}",
            f"keyfile {identity.key.absolute()}",
            "require_certificate true",
            "allow_anonymous true",
            "max_queued_messages 0",
            "log_dest stderr",
        ]
        if os.geteuid() == 0:
            # Otherwise it drops its rights before it reads the key.
            lines.append("user root")
        return "\n".join(lines) + "\n"
