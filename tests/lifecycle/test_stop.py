"""The daemon starts, stops and refuses to start as its users rely on; real processes, real signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.conftest import MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.load import BackgroundLoad
from tests.harness.mosquitto import Mosquitto
from tests.harness.server_process import is_gone
from tests.harness.waiting import wait_until
from tests.lifecycle.running import children_of, log_of


def test_a_start_goes_straight_to_well_and_no_child_survives_main_however_it_ends(forwarder: Forwarder) -> None:
    for end in (forwarder.kill, forwarder.terminate):
        forwarder.start()
        forwarder.wait_until(lambda f: f.status()["state"] in ("ok", "standby"), timeout=20.0)
        forwarder.wait_until(lambda f: f.status()["publisher"]["connected"], timeout=20.0)
        children = children_of(forwarder)
        assert len(children) == 2
        end()
        _, alive = psutil.wait_procs(children, timeout=5.0)
        assert not alive
    changes = [line["state"] for line in log_of(forwarder) if line["event"] == "state.changed"]
    assert set(changes) <= {"degraded", "ok", "standby"}, "it does not call a start a trouble of Kafka"


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
    children = children_of(forwarder)
    started = time.monotonic()
    forwarder.signal(signal.SIGTERM)
    forwarder.wait(timeout=5.0)
    assert time.monotonic() - started < 2.0
    assert forwarder.exit_code == 0
    assert all(map(is_gone, children))
    forwarder.start()
    assert forwarder.ledger()["in_spool_at_start"] == 500


def test_sigterm_gives_up_draining_in_time_when_kafka_is_away(
    lonely_forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher
) -> None:
    forwarder = lonely_forwarder
    forwarder.config["shutdown"] = {"drain_seconds": 2}
    forwarder.start()
    make_publisher(mosquitto).publish_detections(range(500))
    forwarder.wait_until(lambda f: f.ledger()["in_spool"] == 500, timeout=20.0)
    started = time.monotonic()
    forwarder.signal(signal.SIGTERM)
    forwarder.wait_until(lambda f: f.get("/readyz") == (503, "not ready: it is stopping\n"), timeout=5.0)
    assert forwarder.wait(timeout=15.0) == 0
    assert 2.0 <= time.monotonic() - started < 10.0
    last = log_of(forwarder)[-1]
    assert (last["event"], last["in_spool"], last["imbalance"]) == ("forwarder.stopped", 500, 0)


def test_a_port_or_a_spool_in_use_is_one_sentence_and_exit_code_1(lonely_forwarder: Forwarder, tmp_path: Path) -> None:
    forwarder = lonely_forwarder
    forwarder.start()
    command = [sys.executable, "-m", "tie_forwarder", "run", "--config", str(forwarder.config_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert f"in use by process {forwarder.pid}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = subprocess.run(
        [*command, "--set", f"spool.directory={tmp_path / 'other'}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert f"http.listen = '127.0.0.1:{forwarder.http_port}': Address already in use" in done.stderr
    assert len(done.stderr.splitlines()) == 1
