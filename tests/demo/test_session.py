"""The demo as a user runs it: the real daemon between embedded servers, and nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.harness.waiting import wait_until
from tie_forwarder.demo.certificates import Authority
from tie_forwarder.demo.ports import free_port
from tie_forwarder.demo.servers import write_dxlclient_config
from tie_forwarder.demo.session import RunningDaemon
from tie_forwarder.errors import ForwarderError


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The demo, with `tmp_path/tmp` for its files and `tmp_path/output` for what it prints."""
    (tmp_path / "tmp").mkdir()
    with (tmp_path / "output").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tie_forwarder", "demo", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), "PYTHONUNBUFFERED": "1"},
        )


def output(tmp_path: Path) -> str:
    return (tmp_path / "output").read_text()


def left_behind(tmp_path: Path) -> list[str]:
    """Files of the demo, and processes that were started with its directory on their command line."""
    files = [str(path) for path in (tmp_path / "tmp").iterdir()]
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return files + [command for command in commands if str(tmp_path / "tmp") in command]


def test_the_demo_shows_detections_and_a_dead_letter_and_balances(tmp_path: Path) -> None:
    demo = start(tmp_path, "--seconds", "2", "--rate", "10")
    assert demo.wait(60) == 0, output(tmp_path)
    text = output(tmp_path)
    assert "delivery: at_least_once" in text
    assert "/metrics" in text
    assert "tie.file.detections[" in text
    assert "dead letter: " in text
    assert "= imbalance" in text
    assert left_behind(tmp_path) == []


def test_sigterm_ends_the_demo_in_good_order(tmp_path: Path) -> None:
    demo = start(tmp_path, "--rate", "10")
    wait_until(lambda: "tie.file.detections[" in output(tmp_path), timeout=60, what=lambda: output(tmp_path))
    os.kill(demo.pid, signal.SIGTERM)
    assert demo.wait(60) == 0, output(tmp_path)
    assert "= imbalance" in output(tmp_path)
    assert left_behind(tmp_path) == []


def test_no_process_outlives_a_demo_that_is_killed(tmp_path: Path) -> None:
    demo = start(tmp_path, "--rate", "10")
    wait_until(lambda: "/metrics" in output(tmp_path), timeout=60, what=lambda: output(tmp_path))
    family = psutil.Process(demo.pid).children(recursive=True)
    assert len(family) >= 6
    os.kill(demo.pid, signal.SIGKILL)
    demo.wait()
    assert psutil.wait_procs(family, timeout=20)[1] == []


def test_a_kafka_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    demo = start(tmp_path, "--kafka", address)
    assert demo.wait(60) == 1
    assert output(tmp_path).startswith(f"Kafka at {address}: ")
    assert left_behind(tmp_path) == []


def test_a_dxlclient_config_that_is_wrong_is_explained(authority: Authority, tmp_path: Path) -> None:
    config = write_dxlclient_config(
        tmp_path / "dxlclient.config", identity=authority.issue("client"), ca_file=tmp_path / "absent", brokers=[]
    )
    demo = start(tmp_path, "--dxl-config", str(config))
    assert demo.wait(60) == 1
    assert "names no broker" in output(tmp_path)
    assert left_behind(tmp_path) == []


def test_a_daemon_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    config_file = tmp_path / "config.yaml"
    config_file.write_text("kafka: {bootstrap_servers: [nowhere]}\n")
    daemon = RunningDaemon(config_file=config_file, http_port=free_port(), log=tmp_path / "daemon.log")
    daemon.start()
    with pytest.raises(ForwarderError, match=r"(?s)did not become ready; its log ends with:\n.*must be host:port"):
        daemon.wait_until_ready(30)
    assert daemon.stop() == 78


def test_the_daemon_of_the_demo_ignores_the_environment_of_a_real_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIE_FORWARDER_KAFKA__BOOTSTRAP_SERVERS", "real-kafka")
    config_file = tmp_path / "config.yaml"
    config_file.write_text("kafka: {bootstrap_servers: [nowhere]}\n")
    daemon = RunningDaemon(config_file=config_file, http_port=free_port(), log=tmp_path / "daemon.log")
    daemon.start()
    with pytest.raises(ForwarderError, match="did not become ready") as raised:
        daemon.wait_until_ready(30)
    daemon.stop()
    assert f"{config_file}, line 1: kafka.bootstrap_servers[0]" in str(raised.value)
    assert "real-kafka" not in str(raised.value)
