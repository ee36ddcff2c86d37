"""The real ExecStart under the unit's restrictions: it forwards, and the service manager is told the truth."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import MakeForwarder, MakeKafka, MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.kafka.properties import Security
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tests.lifecycle.running import NoKafka
from tests.systemd.manager import Manager
from tests.systemd.sandbox import Sandbox
from tests.systemd.site import lay_out

USER, PASSWORD = "tie-forwarder", "right-password-4471"
WATCHDOG_SECONDS = 0.9
"""So that a test need not wait for the unit's minute."""

HANGING_FLOW = """
import time
from tie_forwarder import spool
from tie_forwarder.__main__ import main
from tie_forwarder.supervisor import supervisor
supervisor._STALLED_SECONDS = 6
def apply(self, changes):
    time.sleep(1_000)
spool.Spool.apply = apply
main()
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    (tmp_path / "run").mkdir()
    listening = Manager(tmp_path / "run" / "notify")
    yield listening
    listening.close()


def main_process(forwarder: Forwarder) -> psutil.Process:
    """The process that ExecStart names; bubblewrap is its parent."""
    for process in psutil.Process(forwarder.pid).children(recursive=True):
        if Path(process.exe()).name.startswith("python") and "run" in process.cmdline():
            return process
    raise LookupError("the service has no main process")


def test_the_service_forwards_under_its_restrictions_and_tells_the_manager_the_truth(
    tmp_path: Path,
    manager: Manager,
    mosquitto: Mosquitto,
    make_kafka: MakeKafka,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    kafka = make_kafka(security=Security(protocol="SASL_PLAINTEXT", users={USER: PASSWORD}))
    topics = Topics.unique().create(kafka.administration)
    sandbox = Sandbox(directory=tmp_path)
    sasl = {"mechanism": "SCRAM-SHA-512", "username": USER, "password_file": "kafka-password"}
    assert "kafka-password" in sandbox.unit.credentials
    (sandbox.credentials / "kafka-password").write_text(f"{PASSWORD}\n")
    forwarder = make_forwarder(
        fabric=mosquitto,
        kafka=kafka,
        topics=topics,
        options={"kafka": {"security": {"protocol": "sasl_plaintext", "sasl": sasl}}},
    )
    lay_out(sandbox.etc, fabric=mosquitto, name="forwarder", config=forwarder.config)
    environment = {"NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1e6))}
    forwarder.command = sandbox.command(environment=environment)
    mosquitto.stop()
    forwarder.start(wait_ready=False)

    told_while_starting = manager.told_until("WATCHDOG=1") + manager.told_until("WATCHDOG=1")
    assert "READY=1" not in told_while_starting
    assert any(line.startswith("STATUS=degraded, starting: ") for line in told_while_starting)
    assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in told_while_starting)

    mosquitto.start()
    told = manager.told_until("READY=1")
    publisher = make_publisher(mosquitto)
    publisher.publish_detections(range(20))
    well = "STATUS=ok: events are received and go to Kafka"
    assert well in told or manager.told_until(well)
    forwarder.wait_until(lambda f: f.ledger()["published"] == 20, timeout=30.0, what="what came after READY in Kafka")
    main = main_process(forwarder)
    assert [Path(word).name for word in main.cmdline()[1:]] == [Path(word).name for word in sandbox.unit.command[1:]]
    for process in (main, *main.children()):
        status = Path(f"/proc/{process.pid}/status").read_text().split("\n")
        assert {"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"} <= set(status)

    before = time.monotonic_ns() // 1_000
    main.send_signal(signal.SIGHUP)
    reloading = manager.told_until("READY=1")
    assert reloading.index("RELOADING=1") < reloading.index("READY=1")
    (at,) = (int(line.partition("=")[2]) for line in reloading if line.startswith("MONOTONIC_USEC="))
    assert before <= at <= time.monotonic_ns() // 1_000

    main.suspend()
    silence = 2 * WATCHDOG_SECONDS
    wait_until(
        lambda: manager.is_not_told("WATCHDOG=1", seconds=silence), timeout=10.0, what="no food for the watchdog"
    )
    main.resume()
    manager.told_until("WATCHDOG=1")
    publisher.publish_detections(range(20, 30))
    forwarder.wait_until(lambda f: f.ledger()["received"] == 30, timeout=20.0, what="all received")
    main.terminate()
    manager.told_until("STOPPING=1")
    assert forwarder.wait(timeout=30.0) == 0
    Judge(bootstrap_servers=kafka.internal_servers, topics=topics).verdict(range(30)).assert_exactly_once()


def test_a_loop_that_hangs_is_fed_no_more_while_the_process_lives(
    tmp_path: Path, manager: Manager, mosquitto: Mosquitto, make_forwarder: MakeForwarder, make_publisher: MakePublisher
) -> None:
    forwarder = make_forwarder(
        fabric=mosquitto,
        kafka=NoKafka(),  # type: ignore[arg-type]
        topics=Topics.unique(),
        program=(sys.executable, "-c", HANGING_FLOW),
        environment={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1e6))},
    )
    forwarder.start()
    make_publisher(mosquitto).publish_detections([1])
    wait_until(lambda: manager.is_not_told("WATCHDOG=1", seconds=1.5), timeout=15.0, what="no food for the watchdog")
    assert forwarder.alive
    assert forwarder.wait(timeout=20.0) == 70
