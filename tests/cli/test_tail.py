"""`tail` prints what the sample of dxltieclient prints, and never lets a payload drive the terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dxlbootstrap.util import MessageUtils
from dxltieclient.callbacks import DetectionCallback, FirstInstanceCallback, ReputationChangeCallback
from kafka import KafkaProducer

from tests.data.payloads import SAMPLES
from tests.golden.records import record_of
from tests.harness.waiting import wait_until
from tie_forwarder.cli import invoke
from tie_forwarder.cli.tail import fabric_text, kafka_text
from tie_forwarder.demo.servers import DEAD_LETTERS, DETECTIONS, DemoServers
from tie_forwarder.events.message import TOPICS, Message
from tie_forwarder.kafka.queries import OutputRecord
from tie_forwarder.receiver.short_lived import connected_client
from tie_forwarder.records.formats import FORMATS

SAMPLE = SAMPLES["detection"]
CONTROLS = "\x1b\x07\x7f\x9b"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServers]:
    servers = DemoServers(directory=tmp_path_factory.mktemp("servers"), kafka=None, dxl_config=None)
    servers.start()
    with produced(servers.kafka_address) as send:
        for number in range(3):
            send(DETECTIONS, b'{"name": "F%d.EXE", "agentGuid": "x"}' % number, [("ce_id", b"id-%d" % number)])
        send(DEAD_LETTERS, b"\x1b[31m not JSON", [("ce_id", b"id-3"), ("reason", b"not_json")])
    yield servers
    servers.stop()


@contextmanager
def produced(address: str) -> Iterator[Any]:
    producer = KafkaProducer(bootstrap_servers=[address], acks="all")

    def send(topic: str, value: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
        producer.send(topic, value, headers=list(headers), partition=0).get(10)

    try:
        yield send
    finally:
        producer.close()


@contextmanager
def published(servers: DemoServers, *payloads: tuple[str, bytes]) -> Iterator[None]:
    """Payloads by their kind, again and again, since a subscriber gets only what comes after it."""
    stop = threading.Event()

    def publish() -> None:
        with connected_client(servers.simulation_dxl_config) as client:
            while not stop.wait(0.05):
                for kind, payload in payloads:
                    client.publish(TOPICS[kind], payload)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def as_the_sample_prints(payload: bytes, kind: str = "detection") -> str:
    """What the samples of dxltieclient print."""
    printed = []

    def show(title: str, fields: dict[str, Any], original_event: Any) -> None:
        printed.append(f"{title} on topic: {original_event.destination_topic}")
        printed.append(MessageUtils.dict_to_json(fields, True))

    class Detections(DetectionCallback):  # type: ignore[misc]
        def on_detection(self, detection_dict: dict[str, Any], original_event: Any) -> None:
            show("Detection", detection_dict, original_event)

    class FirstInstances(FirstInstanceCallback):  # type: ignore[misc]
        def on_first_instance(self, first_instance_dict: dict[str, Any], original_event: Any) -> None:
            show("First instance", first_instance_dict, original_event)

    class Changes(ReputationChangeCallback):  # type: ignore[misc]
        def on_reputation_change(self, rep_change_dict: dict[str, Any], original_event: Any) -> None:
            show("Reputation change", rep_change_dict, original_event)

    samples: dict[str, Any] = {"detection": Detections, "first_instance": FirstInstances}
    samples.get(kind, Changes)().on_event(SimpleNamespace(payload=payload, destination_topic=TOPICS[kind]))
    return "\n".join(printed)


def message(payload: bytes, kind: str = "detection") -> Message:
    return Message("{id}", TOPICS[kind], "", "", payload, 0)


def test_a_detection_is_printed_as_the_sample_prints_it() -> None:
    payload = SAMPLE.replace(b"FOCUS", "Rechnung Ü \U0001f9a0".encode()) + b"\0"
    assert fabric_text(message(payload)) == as_the_sample_prints(payload)


@pytest.mark.parametrize("kind", TOPICS)
def test_every_kind_is_printed_as_its_sample_prints_it(kind: str) -> None:
    assert fabric_text(message(SAMPLES[kind], kind)) == as_the_sample_prints(SAMPLES[kind], kind)


def test_control_characters_never_reach_the_terminal_raw() -> None:
    valid = json.dumps({**json.loads(SAMPLE), "name": f"a{CONTROLS}z"}, ensure_ascii=False).encode()
    record = OutputRecord("t", 0, 1, 0, None, CONTROLS.encode(), (("ce_id", b"\x1b[0m"), ("reason", b"\x07")))
    for text in (fabric_text(message(valid)), fabric_text(message(CONTROLS.encode())), kafka_text(record)):
        assert not set(text) & set(CONTROLS)
    assert "a\\u001b\\u0007\\u007f\\u009bz" in fabric_text(message(valid))


def test_a_replayed_event_and_a_marker_are_shown_as_such() -> None:
    event = OutputRecord("t", 0, 1, 0, None, b"{}", (("ce_id", b"x"), ("ce_replayedtime", b"then\x1b")))
    assert kafka_text(event) == "t[0]@1 ce_id=x replayed=then\\x1b\n{}"
    marker = OutputRecord(
        "t", 0, 2, 0, None, b"", (("ce_id", b"x"), ("replayed_at", b"then"), ("replayed_to", b"u\x07"))
    )
    assert kafka_text(marker) == "t[0]@2 ce_id=x\nmarker: was replayed at then to u\\x07"


@pytest.mark.parametrize("form", FORMATS)
def test_a_record_of_every_format_is_printed_readably(form: str) -> None:
    made = record_of("detection", SAMPLE + b"\0", form)
    text = kafka_text(OutputRecord("t", 0, 1, 0, made.key, made.value, made.headers))
    head, _, document = text.partition("\n")
    assert head == f"t[0]@1 ce_id={made.event_id}"
    assert json.loads(document) == json.loads(made.value.rstrip(b"\0"))
    assert document.count("\n") > 10


def test_what_is_no_detection_is_printed_with_the_reason() -> None:
    lines = fabric_text(message(b"[1]")).splitlines()
    assert lines[0] == f"Detection on topic: {TOPICS['detection']}"
    assert lines[1].startswith("no valid detection: not_an_object")
    assert lines[2] == "[1]"
    other = fabric_text(message(b"{}", "file_reputation_change")).splitlines()
    assert other[1].startswith("no valid reputation change: no_hashes")


def test_the_fabric_is_followed_up_to_the_count(servers: DemoServers, capfd: pytest.CaptureFixture[str]) -> None:
    with published(servers, ("detection", SAMPLE), ("first_instance", SAMPLES["first_instance"])):
        assert invoke(["tail", "--dxl-config", str(servers.daemon_dxl_config), "--count", "2"]) == 0
    out, err = capfd.readouterr()
    assert out == f"{as_the_sample_prints(SAMPLE)}\n" * 2
    assert err == ""


def test_the_fabric_is_followed_for_the_kinds_of_the_configuration(
    servers: DemoServers, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    events = "[first_instance, certificate_reputation_change]"
    config.write_text(f"dxl: {{config_file: {servers.daemon_dxl_config}, events: {events}}}")
    with published(servers, *SAMPLES.items()):
        assert invoke(["tail", "--config", str(config), "--count", "6"]) == 0
        several = capfd.readouterr().out
        assert invoke(["tail", "--config", str(config), "--kind", "file_reputation_change", "--count", "2"]) == 0
    printed = {kind: f"{as_the_sample_prints(payload, kind)}\n" for kind, payload in SAMPLES.items()}
    counts = {kind: several.count(text) for kind, text in printed.items()}
    assert sum(counts.values()) == 6
    assert counts["first_instance"] >= 2
    assert counts["certificate_reputation_change"] >= 2
    assert capfd.readouterr().out == printed["file_reputation_change"] * 2


def tail_kafka(servers: DemoServers, *arguments: str) -> list[str]:
    return ["tail", "--kafka", "--bootstrap", servers.kafka_address, *arguments]


def test_kafka_is_read_from_the_beginning(
    servers: DemoServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(tail_kafka(servers, "--from-beginning", "--count", "2")) == 0
    out, err = capfd.readouterr()
    assert out == "".join(
        f'{DETECTIONS}[0]@{number} ce_id=id-{number}\n{{\n    "agentGuid": "x",\n    "name": "F{number}.EXE"\n}}\n'
        for number in range(2)
    )
    assert err == ""


def test_dead_letters_show_their_reason(servers: DemoServers, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(tail_kafka(servers, "--topic", DEAD_LETTERS, "--from-beginning", "--count", "1")) == 0
    assert capfd.readouterr().out == f"{DEAD_LETTERS}[0]@0 ce_id=id-3 reason=not_json\n\\x1b[31m not JSON\n"


def test_a_topic_that_is_missing_is_named(servers: DemoServers, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(tail_kafka(servers, "--topic", "missing")) == 1
    assert "the topic missing does not exist" in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_exit_code_0(servers: DemoServers, tmp_path: Path, number: signal.Signals) -> None:
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tie_forwarder", *tail_kafka(servers, "--from-beginning")],
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
        )
    wait_until(lambda: "F2.EXE" in output.read_text(), timeout=10, what=output.read_text)
    os.kill(process.pid, number)
    assert process.wait(10) == 0
    assert output.read_text().endswith("}\n")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--from-beginning"],
        ["--bootstrap", "a:1"],
        ["--kafka", "--dxl-config", "x"],
        ["--kafka", "--kind", "detection", "--topic", "x"],
        ["--kind", "detections"],
    ],
)
def test_options_of_the_other_side_are_refused(wrong: list[str]) -> None:
    assert invoke(["tail", *wrong]) == 2
