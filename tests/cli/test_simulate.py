"""`simulate` publishes what it was asked to, at the pace that it was asked for, and ends in good order."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.waiting import wait_until
from tie_forwarder.cli import invoke
from tie_forwarder.demo.certificates import Authority
from tie_forwarder.demo.servers import DemoServers, write_dxlclient_config
from tie_forwarder.events.decoding import decode
from tie_forwarder.events.kinds import BY_TOPIC, KINDS
from tie_forwarder.events.message import Message
from tie_forwarder.events.reasons import InvalidEventError
from tie_forwarder.receiver.short_lived import connected_client


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServers]:
    servers = DemoServers(directory=tmp_path_factory.mktemp("servers"), kafka=None, dxl_config=None)
    servers.start()
    yield servers
    servers.stop()


@pytest.fixture
def received(servers: DemoServers) -> Iterator[list[Message]]:
    """What a subscriber of the fabric gets."""
    messages: list[Message] = []
    with connected_client(servers.daemon_dxl_config) as client:
        client.receive(list(KINDS), messages.append)
        yield messages


@pytest.fixture
def command(servers: DemoServers) -> list[str]:
    return ["simulate", "--dxl-config", str(servers.simulation_dxl_config)]


def payloads(received: list[Message], count: int) -> list[bytes]:
    wait_until(lambda: len(received) >= count, timeout=10, what=lambda: f"{len(received)} of {count} payloads")
    return [message.payload for message in received]


def test_it_publishes_valid_detections_and_says_how_many(
    command: list[str], received: list[Message], capfd: pytest.CaptureFixture[str]
) -> None:
    assert invoke([*command, "--rate", "100", "--count", "50", "--seed", "1"]) == 0
    events = [decode(KINDS["detection"], payload) for payload in payloads(received, 50)]
    assert len(events) == 50
    out, err = capfd.readouterr()
    assert err == ""
    found = re.fullmatch(r"published 50 payloads in (\d+\.\d) s \(\d+\.\d/s\)\n", out)
    assert found is not None
    assert float(found[1]) >= 0.4


def test_broken_payloads_can_be_mixed_in(command: list[str], received: list[Message]) -> None:
    assert invoke([*command, "--rate", "200", "--count", "40", "--invalid", "25"]) == 0
    refused = 0
    for payload in payloads(received, 40):
        try:
            decode(KINDS["detection"], payload)
        except InvalidEventError:
            refused += 1
    assert refused == 10


def test_the_kinds_that_were_asked_for_come_in_turn(command: list[str], received: list[Message]) -> None:
    asked = ["--kind", "certificate_reputation_change", "--kind", "first_instance"]
    assert invoke([*command, "--rate", "200", "--count", "21", *asked]) == 0
    payloads(received, 21)
    counts = Counter(decode(BY_TOPIC[message.topic], message.payload).kind.name for message in received)
    assert counts == {"certificate_reputation_change": 11, "first_instance": 10}


def test_files_are_published_as_they_are_each_once(command: list[str], received: list[Message], tmp_path: Path) -> None:
    folder = tmp_path / "recorded"
    folder.mkdir()
    (folder / "b").write_bytes(b"second\0")
    (folder / "a").write_bytes(b"\xff first")
    (tmp_path / "single.json").write_bytes(b"")
    files = ["--file", str(folder), "--file", str(tmp_path / "single.json")]
    assert invoke([*command, "--rate", "100", *files]) == 0
    assert payloads(received, 3) == [b"\xff first", b"second\0", b""]


def test_files_are_published_on_the_topic_of_their_kind(
    command: list[str], received: list[Message], tmp_path: Path
) -> None:
    (tmp_path / "one").write_bytes(b"1")
    assert invoke([*command, "--file", str(tmp_path), "--kind", "file_reputation_change"]) == 0
    payloads(received, 1)
    assert received[0].topic == KINDS["file_reputation_change"].topic


def test_files_are_repeated_up_to_the_count(command: list[str], received: list[Message], tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1")
    assert invoke([*command, "--rate", "100", "--file", str(tmp_path), "--count", "3"]) == 0
    assert payloads(received, 3) == [b"1", b"1", b"1"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_sentence_and_exit_code_0(
    command: list[str], received: list[Message], number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tie_forwarder", *command, "--rate", "50"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    payloads(received, 3)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert err == ""
    found = re.match(r"published (\d+) payloads", out)
    assert found is not None
    assert len(payloads(received, int(found[1]))) == int(found[1])


def test_an_absent_fabric_is_one_sentence_and_exit_code_1(
    authority: Authority, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    config = write_dxlclient_config(
        tmp_path / "dxlclient.config",
        identity=authority.issue("client"),
        ca_file=authority.ca_file,
        brokers=[("127.0.0.1", port)],
    )
    assert invoke(["simulate", "--dxl-config", str(config)]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert f"127.0.0.1:{port}: Connection refused" in err


def test_an_empty_folder_is_refused(command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke([*command, "--file", str(tmp_path)]) == 1
    assert "holds no files" in capfd.readouterr().err


def test_broken_payloads_and_several_kinds_do_not_go_with_files(command: list[str], tmp_path: Path) -> None:
    assert invoke([*command, "--file", str(tmp_path), "--invalid", "5"]) == 2
    assert invoke([*command, "--file", str(tmp_path), "--kind", "detection", "--kind", "first_instance"]) == 2
