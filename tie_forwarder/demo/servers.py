"""The servers around the daemon: a fabric and a Kafka, each embedded unless the user has one.

Owns: what runs, from `start()` to `stop()`, and the dxlclient.config files by which the daemon and the simulation
connect. Must not: know of the daemon.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tie_forwarder.demo.certificates import Authority
from tie_forwarder.demo.configuration import DEAD_LETTERS, DETECTIONS
from tie_forwarder.demo.dxlclient_config import write_dxlclient_config
from tie_forwarder.demo.fabric import EmbeddedFabric
from tie_forwarder.demo.kafka import EmbeddedKafka

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TOPICS: Sequence[str] = (DETECTIONS, DEAD_LETTERS)


_PARTITIONS = 3


class DemoServers:
    """Complete after `start()`: `kafka_address`, `daemon_dxl_config` and `simulation_dxl_config` say where they are."""

    def __init__(self, *, directory: Path, kafka: str | None, dxl_config: Path | None) -> None:
        self._directory = directory
        self._running = ExitStack()
        self._embed_kafka = kafka is None
        self._embed_fabric = dxl_config is None
        self.kafka_address = kafka or ""
        self.daemon_dxl_config = self.simulation_dxl_config = dxl_config or directory
        self.embedded: list[str] = []

    def start(self) -> None:
        """Start what is to be embedded and block until it serves; ForwarderError when it does not."""
        with ExitStack() as started:
            kafka = EmbeddedKafka(directory=self._directory)
            if self._embed_kafka:
                kafka.start()
                started.callback(kafka.stop)
                self.kafka_address = kafka.address
                self.embedded.append(f"Kafka on {kafka.address}")
            fabric = None
            if self._embed_fabric:
                fabric = self._start_fabric(started)
            if self._embed_kafka:
                kafka.wait_until_serving()
            self._create_topics()
            if fabric is not None:
                fabric.wait_until_serving()
            self._running = started.pop_all()

    def stop(self) -> None:
        """End what is embedded; blocks until it is gone."""
        self._running.close()

    @property
    def connection(self) -> dict[str, Any]:
        """How kafka-python finds the Kafka."""
        return {"bootstrap_servers": [self.kafka_address]}

    def _start_fabric(self, started: ExitStack) -> EmbeddedFabric:
        authority = Authority(self._directory)
        fabric = EmbeddedFabric(authority=authority, identity=authority.issue("broker"), directory=self._directory)
        fabric.start()
        started.callback(fabric.stop)
        self.embedded.append(f"fabric on {fabric.host}:{fabric.port}")
        # While the broker starts; every client has a certificate of its own, as on a real fabric.
        self.daemon_dxl_config, self.simulation_dxl_config = (
            write_dxlclient_config(
                self._directory / f"{name}.config",
                identity=authority.issue(name),
                ca_file=authority.ca_file,
                brokers=[(fabric.host, fabric.port)],
            )
            for name in ("dxlclient", "simulation")
        )
        return fabric

    def _create_topics(self) -> None:
        from tie_forwarder.kafka_queries import create_topics

        create_topics(self.connection, TOPICS, partitions=_PARTITIONS)
