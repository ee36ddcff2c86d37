"""The service manager is told the truth, over a real datagram socket."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from tests.conftest import MakeForwarder
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.lifecycle.running import NoKafka

PATIENCE_SECONDS = 20.0


def test_systemd_is_told_ready_only_when_subscribed_and_fed_while_the_loops_tick(
    tmp_path: Path, mosquitto: Mosquitto, make_forwarder: MakeForwarder
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_SECONDS)
        forwarder = make_forwarder(
            fabric=mosquitto,
            kafka=NoKafka(),  # type: ignore[arg-type]
            topics=Topics.unique(),
            environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "900000"},
        )
        mosquitto.stop()
        forwarder.start(wait_ready=False)
        told = told_until(manager, "WATCHDOG=1")
        told += told_until(manager, "WATCHDOG=1")
        assert "READY=1" not in told
        assert any(line.startswith("STATUS=degraded: starting") for line in told)
        assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in told)
        mosquitto.start()
        told_until(manager, "READY=1")
        assert forwarder.get("/readyz")[0] == 200
        forwarder.signal(signal.SIGHUP)
        told_until(manager, "RELOADING=1")
        told_until(manager, "READY=1")
        forwarder.hang("main")
        while not is_silent(manager, seconds=1.5):
            continue
        forwarder.resume("main")
        told_until(manager, "WATCHDOG=1")
        forwarder.signal(signal.SIGTERM)
        told_until(manager, "STOPPING=1")
        assert forwarder.wait(timeout=30.0) == 0


def told_until(manager: socket.socket, wanted: str) -> list[str]:
    """What is said up to the wanted line."""
    told: list[str] = []
    while not any(line.startswith(wanted) for line in told):
        told += manager.recv(4096).decode().splitlines()
    return told


def is_silent(manager: socket.socket, *, seconds: float) -> bool:
    """Whether nothing is said for so long; what is said is dropped."""
    manager.settimeout(seconds)
    try:
        manager.recv(4096)
    except TimeoutError:
        return True
    finally:
        manager.settimeout(PATIENCE_SECONDS)
    return False
