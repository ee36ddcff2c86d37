"""One node of an Apache Kafka cluster, broker and controller in one process.

Owns: its data directory and how Java is called.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.harness.kafka.installation import Installation
from tests.harness.kafka.java import find_java
from tests.harness.ports import is_listening
from tests.harness.server_process import ServerProcess

QUICK_START = ("-XX:TieredStopAtLevel=1",)
"""Compiles lightly: half the time to start, and more CPU per record under a long load."""


class KafkaNode(ServerProcess):
    """A node that is ready when the port of its clients accepts connections."""

    def __init__(
        self,
        *,
        node_id: int,
        cluster_id: str,
        directory: Path,
        client_port: int,
        properties: str,
        installation: Installation,
        heap_megabytes: int,
        java_options: Sequence[str] = QUICK_START,
    ) -> None:
        properties_file = directory / "server.properties"
        super().__init__(
            name=f"kafka-{node_id}",
            command=[
                find_java() or "java",
                f"-Xmx{heap_megabytes}m",
                "-XX:+UseSerialGC",
                *installation.java_options,
                "-Dorg.slf4j.simpleLogger.showDateTime=true",
                "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
                "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn",
                *java_options,
                "-cp",
                installation.class_path,
                "kafka.Kafka",
                str(properties_file),
            ],
            directory=directory,
            ready=lambda: is_listening(client_port),
            start_timeout=90.0,
        )
        self.node_id = node_id
        self.data_directory = directory / "data"
        self._cluster_id = cluster_id
        self._properties = properties
        self._properties_file = properties_file
        self._installation = installation

    def start(self, *, wait_ready: bool = True) -> None:
        """Format the data directory at the first start, then start the node and block until clients can connect.

        In a cluster of three no node gets ready before a second one runs: start them with `wait_ready=False` first.
        """
        if not self.data_directory.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            self._properties_file.write_text(self._properties, encoding="utf-8")
            self._installation.make_data_directory(
                self.data_directory, node_id=self.node_id, cluster_id=self._cluster_id
            )
        super().start(wait_ready=wait_ready)

    def discard(self) -> None:
        """End the node at once and remove its data; log and properties stay for who wants to look."""
        self.stop()
        shutil.rmtree(self.data_directory, ignore_errors=True)
