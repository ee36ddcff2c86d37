"""The daemon's life from outside: signals, children, systemd, HTTP, memory. Real processes on real servers."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import BackgroundLoad
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tie_forwarder.metrics import DROP_REASONS, ROLES, STATES


class NoKafka:
    """An address at which nobody listens."""

    bootstrap_servers = ("127.0.0.1:9",)


@pytest.fixture
def forwarder(mosquitto: Mosquitto, kafka: KafkaCluster, topics: Topics, make_forwarder: MakeForwarder) -> Forwarder:
    return make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics)


@pytest.fixture
def lonely_forwarder(mosquitto: Mosquitto, make_forwarder: MakeForwarder) -> Forwarder:
    """One whose Kafka is not there."""
    return make_forwarder(fabric=mosquitto, kafka=NoKafka(), topics=Topics.unique())  # type: ignore[arg-type]


def children_of(forwarder: Forwarder) -> list[psutil.Process]:
    return psutil.Process(forwarder.pid).children(recursive=True)


def test_no_child_survives_main_however_it_ends(forwarder: Forwarder) -> None:
    for end in (forwarder.kill, forwarder.terminate):
        forwarder.start()
        children = children_of(forwarder)
        assert len(children) == 2
        end()
        _, alive = psutil.wait_procs(children, timeout=5.0)
        assert not alive


def test_sigterm_drains_and_reports_the_balance(
    forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher, judge: Judge
) -> None:
    forwarder.start()
    load = BackgroundLoad(publisher=make_publisher(mosquitto), numbers=range(20_000), rate=2_000)
    load.start()
    forwarder.wait_until(lambda f: f.ledger()["received"] > 3_000, timeout=20.0)
    forwarder.terminate()
    load.finish(early=True)
    assert forwarder.exit_code == 0
    last = json.loads(forwarder.log().strip().splitlines()[-1])
    assert last["event"] == "forwarder.stopped"
    assert last["imbalance"] == 0
    assert last["in_spool"] == 0
    assert judge.verdict(range(20_000)).records == last["published"]


def test_a_second_signal_stops_at_once_and_keeps_the_spool(
    lonely_forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher
) -> None:
    forwarder = lonely_forwarder
    forwarder.start()
    make_publisher(mosquitto).publish_detections(range(500))
    forwarder.wait_until(lambda f: f.ledger()["in_spool"] == 500, timeout=20.0)
    assert forwarder.get("/healthz")[0] == forwarder.get("/readyz")[0] == 200
    forwarder.signal(signal.SIGTERM)
    wait_until(lambda: "forwarder.stopping" in forwarder.log(), timeout=5.0, what="the drain")
    assert forwarder.alive
    started = time.monotonic()
    forwarder.signal(signal.SIGTERM)
    forwarder.wait(timeout=5.0)
    assert time.monotonic() - started < 3.0
    assert forwarder.exit_code == 0
    forwarder.start()
    assert forwarder.ledger()["in_spool_at_start"] == 500


@pytest.mark.parametrize("part", ["receiver", "publisher"])
@pytest.mark.parametrize("fault", ["killed", "hung"])
def test_a_child_that_dies_or_hangs_is_replaced_with_a_counted_reason(
    forwarder: Forwarder, part: str, fault: str, mosquitto: Mosquitto, make_publisher: MakePublisher, judge: Judge
) -> None:
    forwarder.start()
    before = forwarder.part(part).pid  # type: ignore[arg-type]
    if fault == "killed":
        forwarder.kill_part(part)  # type: ignore[arg-type]
    else:
        forwarder.hang(part)  # type: ignore[arg-type]
    reason = "exited" if fault == "killed" else "heartbeat_late"
    name = f'tie_forwarder_{part}_restarts_total{{reason="{reason}"}}'
    forwarder.wait_until(lambda f: f.metrics()[name] == 1, timeout=25.0, what=name)
    assert forwarder.part(part).pid != before  # type: ignore[arg-type]
    forwarder.wait_until(lambda f: f.get("/readyz")[0] == 200, timeout=15.0)
    make_publisher(mosquitto).publish_detections(range(100))
    forwarder.wait_until(lambda f: f.ledger()["published"] == 100, timeout=20.0)
    judge.verdict(range(100)).assert_exactly_once()
    assert forwarder.ledger()["imbalance"] == 0


def test_sighup_takes_up_what_it_can_says_what_it_cannot_and_refuses_what_is_wrong(
    forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher
) -> None:
    forwarder.start()
    good = forwarder.config_file.read_text()
    forwarder.config_file.write_text(good.replace("dxl:", "shutdown: {drain_seconds: 7}\ndxl:", 1) + "\nsurplus: 1\n")
    forwarder.signal(signal.SIGHUP)
    wait_until(lambda: "reload.refused" in forwarder.log(), timeout=10.0, what="the refusal")
    assert "surplus" in forwarder.log()
    changed = good.replace(f"127.0.0.1:{forwarder.http_port}", "127.0.0.1:1")
    forwarder.config_file.write_text(changed + "shutdown: {drain_seconds: 7}\nlog: {level: debug}\n")
    forwarder.signal(signal.SIGHUP)
    wait_until(lambda: "reload.done" in forwarder.log(), timeout=10.0, what="the reload")
    done = next(json.loads(line) for line in forwarder.log().splitlines() if "reload.done" in line)
    assert sorted(done["changed"]) == ["log.level", "shutdown.drain_seconds"]
    assert done["need_a_restart"] == ["http.listen"]
    forwarder.wait_until(lambda f: f.get("/readyz")[0] == 200 and f.status()["publisher"]["connected"], timeout=20.0)
    make_publisher(mosquitto).publish_detections(range(10))
    forwarder.wait_until(lambda f: f.ledger()["published"] == 10, timeout=20.0)


def test_systemd_is_told_ready_only_when_subscribed_and_fed_while_the_loops_tick(
    tmp_path: Path, mosquitto: Mosquitto, kafka: KafkaCluster, topics: Topics, make_forwarder: MakeForwarder
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(15.0)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "900000"}
        forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics, environment=environment)
        mosquitto.stop()
        forwarder.start(wait_ready=False)
        told = _told_until(manager, "WATCHDOG=1")
        assert "READY=1" not in told
        assert any(line.startswith("STATUS=degraded") for line in told)
        mosquitto.start()
        told = _told_until(manager, "READY=1")
        forwarder.wait_until(lambda f: f.get("/readyz")[0] == 200, timeout=15.0)
        forwarder.signal(signal.SIGHUP)
        assert any(line.startswith("RELOADING=1") for line in _told_until(manager, "RELOADING=1"))
        forwarder.hang("main")
        manager.settimeout(3.0)
        with pytest.raises(TimeoutError):
            _told_until(manager, "nothing more")
        manager.settimeout(15.0)
        forwarder.resume("main")
        forwarder.signal(signal.SIGTERM)
        _told_until(manager, "STOPPING=1")
        forwarder.wait(timeout=30.0)


def _told_until(manager: socket.socket, wanted: str) -> list[str]:
    told: list[str] = []
    while not any(line.startswith(wanted) for line in told):
        told += manager.recv(4096).decode().splitlines()
    return told


def test_every_metric_of_a_closed_set_stands_at_zero_from_the_start(forwarder: Forwarder) -> None:
    forwarder.start()
    metrics = forwarder.metrics()
    for reason in DROP_REASONS:
        assert metrics[f'tie_forwarder_events_dropped_total{{reason="{reason}"}}'] == 0
    for state in STATES:
        assert f'tie_forwarder_state{{state="{state}"}}' in metrics
    for role in ROLES:
        assert f'tie_forwarder_group_role{{role="{role}"}}' in metrics
    for name in (
        'events_received_total{kind="detection"}', "events_settled_total", "events_duplicate_total",
        'events_dead_lettered_total{reason="not_json"}', "unknown_fields_total", "ledger_imbalance", "spool_events",
        "spool_bytes", "spool_limit_bytes", "spool_oldest_event_timestamp_seconds",
        "spool_commit_duration_seconds_count", "spool_corrupt_records_total", "publish_duration_seconds_count",
        "kafka_connected", "record_bytes_count",
        'publisher_restarts_total{reason="error"}', 'group_takeovers_total{reason="silent"}', "dxl_connected",
        'publish_errors_total{class="transient",code="connection"}', "dxl_connects_total",
        "dxl_last_event_timestamp_seconds", "dxl_canary_round_trip_seconds_count", "receiver_queue_events",
        'receiver_restarts_total{reason="canary_late"}', "end_to_end_latency_seconds_count",
        "detection_delay_seconds_count", 'tls_certificate_expiry_timestamp_seconds{role="dxl_client"}',
    ):  # fmt: skip
        assert f"tie_forwarder_{name}" in metrics, name


@pytest.fixture
def slow_clients(forwarder: Forwarder) -> Iterator[list[socket.socket]]:
    forwarder.start()
    clients = []
    for _ in range(100):
        client = socket.create_connection(("127.0.0.1", forwarder.http_port))
        client.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
        clients.append(client)
    yield clients
    for client in clients:
        client.close()


def test_slow_and_broken_clients_cannot_hurt_the_daemon(
    forwarder: Forwarder, slow_clients: list[socket.socket], mosquitto: Mosquitto, make_publisher: MakePublisher
) -> None:
    with socket.create_connection(("127.0.0.1", forwarder.http_port)) as broken:
        broken.sendall(b"\x00\xff" * 1000)
    make_publisher(mosquitto).publish_detections(range(200))
    for client in slow_clients[:50]:
        client.close()
    forwarder.wait_until(lambda f: f.ledger()["published"] == 200, timeout=30.0)
    assert forwarder.get("/nothing")[0] == 404
    request = urllib.request.Request(f"http://127.0.0.1:{forwarder.http_port}/status", data=b"x" * 100, method="POST")
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(request, timeout=5)


def test_a_port_or_a_spool_in_use_is_one_sentence_and_exit_code_1(forwarder: Forwarder, tmp_path: Path) -> None:
    forwarder.start()
    command = [sys.executable, "-m", "tie_forwarder", "run", "--config", str(forwarder.config_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "in use by process" in done.stderr
    assert "Traceback" not in done.stderr
    done = subprocess.run(
        [*command, "--set", f"spool.directory={tmp_path / 'other'}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "http.listen" in done.stderr
    assert "Traceback" not in done.stderr


def test_resident_memory_stays_bounded_with_200000_events_spooled_while_kafka_is_down(
    lonely_forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher
) -> None:
    forwarder = lonely_forwarder
    forwarder.start()
    make_publisher(mosquitto).publish_detections(range(200_000))
    forwarder.wait_until(lambda f: f.ledger()["in_spool"] == 200_000, timeout=150.0)
    processes = [psutil.Process(forwarder.pid), *children_of(forwarder)]
    assert len(processes) == 3
    megabytes = [process.memory_info().rss / 1e6 for process in processes]
    print(f"resident with 200,000 events spooled: {[round(size) for size in megabytes]} MB")
    assert sum(megabytes) <= 140, megabytes
    assert forwarder.ledger()["imbalance"] == 0
