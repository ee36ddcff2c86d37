"""Kafka's console tools and a worker of Kafka Connect, as who reads the records runs them.

Owns: their jars in the cache folder, and how Java is called. Must not: know what is read.
"""

from __future__ import annotations

import json
import shutil
import stat
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.harness.kafka.installation import KAFKA_VERSION, cache_directory, copy_jars, fingerprint
from tests.harness.kafka.java import find_java
from tests.harness.ports import free_port
from tests.harness.server_process import ServerProcess

_POM = Path(__file__).with_name("tools-pom.xml")
_SECONDS = 10.0
_TOOLS = {
    "kafka-acls.sh": "org.apache.kafka.tools.AclCommand",
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
}
_QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


class ToolsInstallation:
    """The folder `kafka-tools-4.3.1` in the cache. The constructor does nothing."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or cache_directory() / f"kafka-tools-{KAFKA_VERSION}"
        self._stamp = self.directory / ".complete"

    @property
    def class_path(self) -> str:
        """What `java -cp` takes."""
        return str(self.directory / "libs" / "*")

    @property
    def complete(self) -> bool:
        """Whether everything is there, from the pom of this checkout."""
        return self._stamp.is_file() and self._stamp.read_text(encoding="utf-8") == fingerprint(_POM)

    def fetch(self) -> None:
        """Let Maven copy the jars here, afresh. `ProvisioningError` when Maven fails."""
        shutil.rmtree(self.directory, ignore_errors=True)
        copy_jars(_POM, self.directory / "libs")
        self._stamp.write_text(fingerprint(_POM), encoding="utf-8")

    def write_scripts(self, directory: Path) -> None:
        """Put the tools there under the names that Kafka's own distribution has."""
        directory.mkdir(parents=True, exist_ok=True)
        java = find_java() or "java"
        for name, main in _TOOLS.items():
            script = directory / name
            script.write_text(
                f"#!/bin/sh\nexec '{java}' -XX:TieredStopAtLevel=1 {_QUIET} -cp '{self.class_path}' {main} \"$@\"\n",
                encoding="utf-8",
            )
            script.chmod(script.stat().st_mode | stat.S_IXUSR)


class ConnectWorker(ServerProcess):
    """A standalone worker, ready when its own interface answers; 5 s after its start."""

    def __init__(self, *, directory: Path, bootstrap_servers: Sequence[str]) -> None:
        self.port = free_port()
        self._properties = {
            "bootstrap.servers": ",".join(bootstrap_servers),
            "listeners": f"http://127.0.0.1:{self.port}",
            "key.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
            "value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
            "offset.storage.file.filename": str(directory / "offsets"),
            "offset.flush.interval.ms": "1000",
            # The default also looks into every class of every jar.
            "plugin.discovery": "service_load",
        }
        self._file = directory / "worker.properties"
        super().__init__(
            name="connect",
            command=[
                find_java() or "java",
                "-Xmx300m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                ToolsInstallation().class_path,
                "org.apache.kafka.connect.cli.ConnectStandalone",
                str(self._file),
            ],
            directory=directory,
            ready=self._answers,
        )

    def start(self, *, wait_ready: bool = True) -> None:
        """Write the properties and start."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._file.write_text("".join(f"{name}={value}\n" for name, value in self._properties.items()))
        super().start(wait_ready=wait_ready)

    def create(self, connector: Mapping[str, Any]) -> None:
        """Start a connector."""
        self._ask("connectors", connector)

    def _answers(self) -> bool:
        try:
            self._ask("connectors")
        except OSError:
            return False
        return True

    def _ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            return json.load(answer)
