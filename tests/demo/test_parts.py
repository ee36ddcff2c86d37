"""The small parts of the demo: payloads, pacing, the interruption, the configuration, the view."""

from __future__ import annotations

import io
import json
import os
import signal
import time
from itertools import islice
from pathlib import Path

import pytest
from rich.console import Console

from tie_forwarder.config import load
from tie_forwarder.demo.events import Pace, events
from tie_forwarder.demo.servers import DEAD_LETTERS, DETECTIONS, configuration_text
from tie_forwarder.demo.view import DemoView
from tie_forwarder.events.decoding import decode
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.events.reasons import InvalidEventError
from tie_forwarder.interruption import Interruption
from tie_forwarder.kafka.queries import OutputRecord

NOW = 1_700_000_000.0


def first(count: int, kind: str = "detection", *, seed: int = 1, invalid_percent: float = 0.0) -> list[bytes]:
    made = islice(events([kind], seed=seed, invalid_percent=invalid_percent, now=lambda: NOW), count)
    return [event.payload for event in made]


def is_valid(payload: bytes, kind: str = "detection") -> bool:
    try:
        decode(KINDS[kind], payload)
    except InvalidEventError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_every_synthetic_event_is_valid_and_known_in_all_its_fields(kind: str) -> None:
    assert all(decode(KINDS[kind], payload).unknown_fields == 0 for payload in first(500, kind))


def test_kinds_come_in_turn() -> None:
    made = list(islice(events(list(KINDS), seed=1, now=lambda: NOW), 9))
    assert [event.kind for event in made] == [*KINDS, *KINDS, "detection"]
    assert all(is_valid(event.payload, event.kind) for event in made)


def test_the_same_seed_gives_the_same_detections() -> None:
    assert first(50, invalid_percent=20) == first(50, invalid_percent=20)
    assert first(50) != first(50, seed=2)


def test_detections_vary_as_real_ones_do() -> None:
    payloads = first(500)
    detections = [json.loads(payload.rstrip(b"\0")) for payload in payloads]
    assert len({event["agentGuid"] for event in detections}) > 5
    assert len({event["name"] for event in detections}) > 10
    assert any(payload.endswith(b"\0") for payload in payloads)
    assert not all(payload.endswith(b"\0") for payload in payloads)
    assert {len(event["hashes"]) for event in detections} == {2, 3}
    fresh = sum(NOW - event["detectionTime"] < 5 for event in detections)
    assert 400 < fresh < 500


def test_a_reputation_change_changes_one_reputation() -> None:
    for kind in ("file_reputation_change", "certificate_reputation_change"):
        for payload in first(50, kind):
            fields = decode(KINDS[kind], payload).fields
            old, new = fields["oldReputations"], fields["newReputations"]
            assert list(old) == list(new)
            assert sum(old[provider]["trustLevel"] != new[provider]["trustLevel"] for provider in old) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("percent", [0, 1, 5, 50, 100])
def test_exactly_the_wanted_share_is_broken(kind: str, percent: int) -> None:
    broken = [payload for payload in first(400, kind, invalid_percent=percent) if not is_valid(payload, kind)]
    assert len(broken) == 400 * percent // 100


def test_a_pace_is_steady_and_catches_up_with_a_short_delay() -> None:
    now = 0.0
    pace = Pace(rate=10, clock=lambda: now)
    assert [round(pace.next_wait_seconds(), 3) for _ in range(3)] == [0.0, 0.1, 0.2]
    now = 0.55
    assert [round(pace.next_wait_seconds(), 3) for _ in range(4)] == [0.0, 0.0, 0.0, 0.05]


def test_a_pace_does_not_flood_after_a_long_delay() -> None:
    now = 0.0
    pace = Pace(rate=10, clock=lambda: now)
    now = 100.0
    assert [round(pace.next_wait_seconds(), 3) for _ in range(3)] == [0.0, 0.1, 0.2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_wait_at_once_and_a_second_one_aborts(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert not interruption.wait(0.0)
        os.kill(os.getpid(), number)
        started = time.monotonic()
        assert interruption.wait(60)
        assert interruption.wait(60)
        assert time.monotonic() - started < 10
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_the_configuration_is_loaded_as_it_reads(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    odd = str(tmp_path / 'a "quoted" \\ folder' / "dxlclient.config")
    file.write_text(configuration_text(dxl_config=odd, bootstrap_server="127.0.0.1:9", listen="127.0.0.1:8"))
    config = load(file, environ={})
    assert str(config.dxl.config_file) == odd
    assert config.kafka.bootstrap_servers == ("127.0.0.1:9",)
    assert config.kafka.delivery == "at_least_once"
    assert (config.kafka.topics.detection, config.kafka.topics.dead_letter) == (DETECTIONS, DEAD_LETTERS)
    assert str(config.http.address) == "127.0.0.1:8"


def record(topic: str, value: bytes, **headers: str) -> OutputRecord:
    pairs = tuple((name, text.encode()) for name, text in headers.items())
    return OutputRecord(topic, 2, 7, int(time.time() * 1000), None, value, pairs)


def test_nothing_of_a_payload_reaches_the_terminal_raw() -> None:
    shown = io.StringIO()
    view = DemoView(Console(file=shown, soft_wrap=True))
    value = {"name": "\x1b[31mred\x07", "agentGuid": "\x9b1m", "hashes": {"md5": "00" * 16}}
    view.detection(record(DETECTIONS, json.dumps(value).encode()))
    view.dead_letter(record(DEAD_LETTERS, b"\x1b]0;title\x07", reason="not_json", detail="\x1b[2J[bold]x"))
    lines = shown.getvalue().splitlines()
    assert "md5 000000" in lines[0]
    assert f"{DETECTIONS}[2]@7" in lines[0]
    assert "dead letter: not_json" in lines[1]
    assert "[bold]x" in lines[1]
    assert not any(character in shown.getvalue() for character in "\x1b\x07\x9b")
