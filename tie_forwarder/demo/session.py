"""The demo from start to end: servers, the real daemon, a simulation, and what arrives in Kafka."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tie_forwarder.demo.events import Pace, events
from tie_forwarder.demo.leash import LeashedProcess
from tie_forwarder.demo.ports import HOST, free_port
from tie_forwarder.demo.servers import DEAD_LETTERS, DETECTIONS, TOPICS, DemoServers, configuration_text
from tie_forwarder.demo.view import Arrivals
from tie_forwarder.errors import ForwarderError
from tie_forwarder.events.message import TOPICS as DXL_TOPICS
from tie_forwarder.interpreter import child_environment, python_command
from tie_forwarder.receiver.short_lived import FabricConnection, connected_client

if TYPE_CHECKING:
    from tie_forwarder.demo.view import DemoView
    from tie_forwarder.interruption import Interruption
    from tie_forwarder.kafka.queries import OutputRecord


_LOOK_AGAIN_SECONDS = 0.05
_ASK_SECONDS = 2.0
_STOP_SECONDS = 30.0


class RunningDaemon:
    """`tie-forwarder run`, from `start()` to `stop()`. It dies with this process, however that ends."""

    def __init__(self, *, config_file: Path, http_port: int, log: Path) -> None:
        self._http_port = http_port
        self._process = LeashedProcess(
            command=python_command("tie_forwarder", "run", "--config", str(config_file)),
            output=log,
            # Without our options: set for a real forwarder, they would send the demo's detections to a real Kafka.
            environment=child_environment(),
        )

    @property
    def url(self) -> str:
        """Where it serves its status."""
        return f"http://{HOST}:{self._http_port}"

    @property
    def alive(self) -> bool:
        """Whether it runs. Does not block."""
        return self._process.alive

    def start(self) -> None:
        """Start it and return at once."""
        self._process.start()

    def wait_until_ready(self, timeout_seconds: float) -> None:
        """Block until it takes events from the fabric; ForwarderError with the end of its log when it does not."""
        deadline = time.monotonic() + timeout_seconds
        while self._process.alive and time.monotonic() < deadline:
            answer = self._get("/readyz")
            if answer is not None and answer[0] == 200:
                return
            time.sleep(_LOOK_AGAIN_SECONDS)
        raise self.failure("did not become ready")

    def failure(self, what: str) -> ForwarderError:
        """The error to raise when the daemon has failed, with the end of its log."""
        return ForwarderError(f"the daemon {what}; its log ends with:\n{self._process.last_output()}")

    def ledger(self) -> dict[str, int]:
        """What it has counted so far; empty when it gives no answer."""
        answer = self._get("/status")
        if answer is None:
            return {}
        try:
            status: dict[str, Any] = json.loads(answer[1])
        except ValueError:
            return {}
        ledger: dict[str, int] = status.get("ledger", {})
        return ledger

    def stop(self) -> int | None:
        """SIGTERM, and after half a minute SIGKILL; blocks until it is gone. Its exit code, None when it was killed."""
        self._process.terminate()
        code = self._process.wait(_STOP_SECONDS)
        self._process.stop()
        return code

    def _get(self, path: str) -> tuple[int, bytes] | None:
        connection = HTTPConnection(HOST, self._http_port, timeout=_ASK_SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()


_READY_SECONDS = 20.0
_SETTLE_SECONDS = 10.0
_SESSION_LOOK_AGAIN_SECONDS = 0.1
_INVALID_PERCENT = 5.0


@dataclass(frozen=True)
class DemoOptions:
    """What the user chose; `seconds` None runs until interrupted."""

    rate: float = 3.0
    seconds: float | None = None
    kafka: str | None = None
    dxl_config: Path | None = None


class DemoSession:
    """One demo. Runs on the main thread; raises ForwarderError when a part of it fails."""

    def __init__(self, *, options: DemoOptions, view: DemoView, interruption: Interruption) -> None:
        self._options = options
        self._view = view
        self._interruption = interruption

    def run(self) -> bool:
        """Block until the time is over or the user interrupts; whether all went well.

        That is: at least one detection was read back from Kafka, and the ledger balances.
        """
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tie-forwarder-demo-")))
            servers = DemoServers(directory=directory, kafka=self._options.kafka, dxl_config=self._options.dxl_config)
            servers.start()
            stack.callback(servers.stop)
            for server in servers.embedded:
                self._view.note(f"embedded {server}")
            daemon = self._start_daemon(directory, servers)
            stack.callback(daemon.stop)
            arrivals = Arrivals(connection=servers.connection, topics=TOPICS, show=self._show)
            arrivals.start()
            stack.callback(arrivals.stop)
            with connected_client(servers.simulation_dxl_config) as fabric:
                daemon.wait_until_ready(_READY_SECONDS)
                self._view.addresses(config_file=directory / "config.yaml", url=daemon.url)
                if self._options.seconds is None:
                    self._view.note("Ctrl-C ends the demo\n")
                published = self._simulate(fabric, daemon, arrivals)
            return self._conclude(published, daemon, arrivals)

    def _start_daemon(self, directory: Path, servers: DemoServers) -> RunningDaemon:
        port = free_port()
        text = configuration_text(
            dxl_config=_beside(servers.daemon_dxl_config, directory),
            bootstrap_server=servers.kafka_address,
            listen=f"{HOST}:{port}",
        )
        config_file = directory / "config.yaml"
        config_file.write_text(text, encoding="utf-8")
        self._view.configuration(text)
        daemon = RunningDaemon(config_file=config_file, http_port=port, log=directory / "daemon.log")
        daemon.start()
        return daemon

    def _simulate(self, fabric: FabricConnection, daemon: RunningDaemon, arrivals: Arrivals) -> int:
        started = time.monotonic()
        pace = Pace(rate=self._options.rate)
        seconds = self._options.seconds
        for published, event in enumerate(events(invalid_percent=_INVALID_PERCENT)):
            over = seconds is not None and time.monotonic() - started >= seconds
            if over or self._interruption.wait(pace.next_wait_seconds()):
                return published
            _raise_if_broken(daemon, arrivals)
            fabric.publish(DXL_TOPICS[event.kind], event.payload)
        raise AssertionError("the events have no end")

    def _conclude(self, published: int, daemon: RunningDaemon, arrivals: Arrivals) -> bool:
        self._view.note(f"\n{published} payloads were published; waiting for the last of them")
        deadline = time.monotonic() + _SETTLE_SECONDS
        ledger = daemon.ledger()
        while time.monotonic() < deadline and not _settled(ledger, published, arrivals):
            _raise_if_broken(daemon, arrivals)
            time.sleep(_SESSION_LOOK_AGAIN_SECONDS)
            ledger = daemon.ledger()
        if not ledger:
            raise daemon.failure("does not tell its ledger")
        code = daemon.stop()
        if code != 0:
            raise daemon.failure(f"did not end in good order (exit code {code})")
        self._view.ledger(ledger)
        read, dead = arrivals.count(DETECTIONS), arrivals.count(DEAD_LETTERS)
        self._view.note(f"read back from Kafka: detections {read}, dead letters {dead}")
        return ledger["imbalance"] == 0 and read > 0

    def _show(self, record: OutputRecord) -> None:
        if record.topic == DETECTIONS:
            self._view.detection(record)
        else:
            self._view.dead_letter(record)


def _settled(ledger: dict[str, int], published: int, arrivals: Arrivals) -> bool:
    if not ledger or ledger["in_spool"] > 0 or ledger["received"] < published:
        return False
    return arrivals.count(*TOPICS) >= ledger["published"]


def _raise_if_broken(daemon: RunningDaemon, arrivals: Arrivals) -> None:
    if arrivals.failure is not None:
        raise arrivals.failure
    if not daemon.alive:
        raise daemon.failure("has ended")


def _beside(path: Path, directory: Path) -> str:
    return path.name if path.parent == directory else str(path.absolute())
