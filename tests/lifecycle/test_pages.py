"""The pages of a running daemon are complete, show no secret, and cost it nothing."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest
import yaml

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.lifecycle.running import NoKafka, children_of, reload
from tie_forwarder.status.conditions import CONDITIONS, STATES
from tie_forwarder.status.metrics import DROP_REASONS, PUBLISH_ERRORS, RESTART_REASONS, ROLES

SECTIONS = {
    "group": "name member role reason since takeovers tail",
    "receiver": "pid phase ready canary_answered_seconds_ago queue_events last_trouble last_restart",
    "spool": "events bytes limit_bytes when_full oldest_received_at",
    "publisher": "pid connected delivery waiting_seconds trouble last_restart",
    "ledger": "in_spool_at_start received published settled filtered dropped duplicate in_spool imbalance",
}


@pytest.fixture
def slow_clients(lonely_forwarder: Forwarder) -> Iterator[list[socket.socket]]:
    lonely_forwarder.start()
    clients = []
    for _ in range(100):
        client = socket.create_connection(("127.0.0.1", lonely_forwarder.http_port))
        client.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
        clients.append(client)
    yield clients
    for client in clients:
        client.close()


def test_slow_and_broken_clients_cannot_hurt_the_daemon_and_an_absent_kafka_is_no_reason_to_end_it(
    lonely_forwarder: Forwarder,
    slow_clients: list[socket.socket],
    mosquitto: Mosquitto,
    make_publisher: MakePublisher,
) -> None:
    forwarder = lonely_forwarder
    with socket.create_connection(("127.0.0.1", forwarder.http_port)) as broken:
        broken.sendall(b"\x00\xff" * 1000)
    make_publisher(mosquitto).publish_detections(range(200))
    started = time.monotonic()
    assert forwarder.get("/healthz")[0] == forwarder.get("/readyz")[0] == 200
    assert time.monotonic() - started < 1.0
    forwarder.wait_until(lambda f: f.ledger()["in_spool"] == 200, timeout=30.0)
    assert forwarder.get("/nothing")[0] == 404
    request = urllib.request.Request(f"http://127.0.0.1:{forwarder.http_port}/status", data=b"x" * 100, method="POST")
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(request, timeout=5)
    forwarder.wait_until(lambda f: f.status()["state"] == "buffering", timeout=20.0)
    assert forwarder.get("/healthz")[0] == forwarder.get("/readyz")[0] == 200


def test_every_metric_and_every_part_of_the_status_is_there_from_the_start(lonely_forwarder: Forwarder) -> None:
    forwarder = lonely_forwarder
    forwarder.start()
    metrics = forwarder.metrics()
    expected = [f'events_dropped_total{{reason="{reason}"}}' for reason in DROP_REASONS]
    expected += [f'state{{state="{state}"}}' for state in STATES]
    expected += [
        f'problem{{reason="{reason}",state="{state}"}}' for state, reasons in CONDITIONS.items() for reason in reasons
    ]
    expected += [f'group_role{{role="{role}"}}' for role in ROLES]
    expected += [
        f'publish_errors_total{{class="{error_class}",code="{code}"}}'
        for error_class, codes in PUBLISH_ERRORS.items()
        for code in codes
    ]
    expected += [
        f'{part}_restarts_total{{reason="{reason}"}}'
        for part in ("receiver", "publisher")
        for reason in RESTART_REASONS
    ]
    expected += [
        'events_received_total{kind="detection"}', "events_settled_total", "events_duplicate_total",
        'events_dead_lettered_total{reason="not_json"}', "unknown_fields_total", "ledger_imbalance", "spool_events",
        "spool_bytes", "spool_limit_bytes", "spool_oldest_event_timestamp_seconds",
        "spool_commit_duration_seconds_count", "spool_corrupt_records_total", "publish_duration_seconds_count",
        "kafka_connected", "record_bytes_count", 'group_takeovers_total{reason="silent"}', "dxl_connected",
        "dxl_connects_total", "dxl_last_event_timestamp_seconds", "dxl_canary_round_trip_seconds_count",
        "receiver_queue_events", "end_to_end_latency_seconds_count", "detection_delay_seconds_count",
        "spool_disk_free_bytes", "state_since_timestamp_seconds", "receiving_seconds_total",
        'tls_certificate_expiry_timestamp_seconds{role="dxl_client"}',
    ]  # fmt: skip
    assert not [name for name in expected if f"tie_forwarder_{name}" not in metrics]
    assert any(name.startswith("tie_forwarder_events_published_total{topic=") for name in metrics)
    assert any(name.startswith("tie_forwarder_build_info{dxlclient=") for name in metrics)
    status = forwarder.status()
    assert {"state", "reason", "since", "remedy", "problems", "certificates", "started", "version"} <= status.keys()
    for section, keys in SECTIONS.items():
        assert set(keys.split()) <= status[section].keys()
    assert status["certificates"][0].keys() == {"role", "file", "ends", "days_left"}


def test_no_secret_is_shown_anywhere(mosquitto: Mosquitto, make_forwarder: MakeForwarder) -> None:
    sasl = {"mechanism": "PLAIN", "username": "me"}
    forwarder = make_forwarder(
        fabric=mosquitto,
        kafka=NoKafka(),  # type: ignore[arg-type]
        topics=Topics.unique(),
        options={"kafka": {"security": {"protocol": "sasl_plaintext", "sasl": sasl}}, "log": {"level": "debug"}},
        environment={"TIE_FORWARDER_KAFKA__SECURITY__SASL__PASSWORD": "sesame-8812"},
    )
    forwarder.start()
    forwarder.wait_until(lambda f: f.status()["publisher"]["trouble"] is not None, timeout=15.0)
    reload(forwarder)
    check = subprocess.run(
        [sys.executable, "-m", "tie_forwarder", "check", "--config", str(forwarder.config_file)],
        env={**os.environ, "TIE_FORWARDER_KAFKA__SECURITY__SASL__PASSWORD": "sesame-8812"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert check.returncode == 0, check
    shown = [forwarder.get("/status")[1], forwarder.get("/metrics")[1], check.stdout, check.stderr]
    for process in children_of(forwarder):
        shown += [str(process.cmdline()), str(process.environ())]
    forwarder.signal(signal.SIGTERM)
    forwarder.signal(signal.SIGTERM)
    forwarder.wait(timeout=10.0)
    for text in (*shown, forwarder.log()):
        assert "sesame" not in text


def test_payload_bytes_are_left_out_and_host_names_are_allowed_without_a_restart(
    lonely_forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher
) -> None:
    forwarder = lonely_forwarder
    forwarder.config["shutdown"] = {"drain_seconds": 0}
    forwarder.start()
    make_publisher(mosquitto).publish([b"no-json-9317"])
    forwarder.wait_until(lambda f: f.status()["dead_letters"]["total"] == 1, timeout=10.0)
    assert "no-json-9317" in forwarder.get("/status")[1]
    assert "no-json-9317" in forwarder.get("/")[1]

    def status_as(name: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", forwarder.http_port, timeout=5.0)
        connection.request("GET", "/status", headers={"Host": name})
        return connection.getresponse().status

    assert status_as("tie.example.com") == 403
    forwarder.config["http"] |= {"show_payload_bytes": False, "allowed_hosts": ["tie.example.com"]}
    forwarder.config_file.write_text(yaml.safe_dump(forwarder.config))
    assert reload(forwarder)["need_a_restart"] == []
    forwarder.wait_until(lambda f: "no-json-9317" not in f.get("/status")[1], timeout=5.0)
    (letter,) = forwarder.status()["dead_letters"]["last"]
    assert (letter["first_bytes"], letter["reason"], letter["bytes"]) == (None, "not_json", 12)
    page = forwarder.get("/")[1]
    assert "not_json" in page
    assert "no-json-9317" not in page
    assert status_as("tie.example.com") == 200
    done = subprocess.run(
        [sys.executable, "-m", "tie_forwarder", "status", "--config", str(forwarder.config_file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "not_json" in done.stdout
    assert "no-json-9317" not in done.stdout
