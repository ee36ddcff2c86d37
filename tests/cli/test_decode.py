"""The verbs `decode` and `schema`: what would become of a payload, and what a record may hold."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.payloads import SAMPLE, SAMPLE_DICT, SAMPLES, as_dxltieclient, wire
from tie_forwarder.cli import invoke
from tie_forwarder.config.kafka import Topics
from tie_forwarder.events.kinds import KINDS

_CONFIG = """
dxl: {fabric: lab}
kafka:
  key: sha256
  topics: {detection: my.detections, dead_letter: my.dead}
"""


class _Input:
    """A standard input that holds bytes."""

    def __init__(self, payload: bytes) -> None:
        self.buffer = io.BytesIO(payload)


def _decoded(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert invoke(["decode", *arguments]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return json.loads(output.out)


@pytest.fixture
def sample(tmp_path: Path) -> str:
    file = tmp_path / "payload"
    file.write_bytes(SAMPLE)
    return str(file)


def test_a_detection_is_shown_as_its_record(sample: str, capsys: pytest.CaptureFixture[str]) -> None:
    record = _decoded(capsys, sample)["record"]
    assert list(record) == ["topic", "key", "timestamp", "headers", "value"]
    assert record["topic"] == "tie.file.detections"
    assert record["key"] == "68125cd6-a5d8-11e6-348e-000c29663178"
    assert record["headers"]["ce_source"] == "/opendxl/main"
    assert record["value"] == SAMPLE_DICT == as_dxltieclient(SAMPLE)
    assert list(record["value"]) == list(SAMPLE_DICT)


def test_an_invalid_payload_is_shown_as_its_dead_letter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "payload"
    file.write_bytes(b"\xff\0")
    letter = _decoded(capsys, str(file))["dead_letter"]
    assert letter["topic"] == "tie.dead-letters"
    assert letter["reason"] == letter["headers"]["reason"] == "not_utf8"
    assert letter["meaning"] == "The payload is not strict UTF-8."
    assert letter["detail"] == letter["headers"]["detail"]
    assert base64.b64decode(letter["value_base64"]) == b"\xff\0"


def test_a_hyphen_reads_the_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", _Input(SAMPLE + b"\0"))
    assert _decoded(capsys, "-")["record"]["value"] == SAMPLE_DICT


def test_another_topic_is_taken_from_the_option(sample: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _decoded(capsys, sample, "--topic", "/x")["dead_letter"]["reason"] == "unknown_topic"
    assert "record" in _decoded(capsys, sample, "--topic", KINDS["detection"].topic)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", ["--kind", "--topic"])
def test_each_kind_is_shown_as_its_record(
    kind: str, by: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "payload").write_bytes(SAMPLES[kind])
    chosen = kind if by == "--kind" else KINDS[kind].topic
    record = _decoded(capsys, str(tmp_path / "payload"), by, chosen)["record"]
    assert record["topic"] == Topics().name_of(kind)
    assert record["headers"]["ce_type"] == KINDS[kind].ce_type
    assert record["value"] == json.loads(json.dumps(as_dxltieclient(SAMPLES[kind], kind)))


def test_kind_and_topic_together_are_wrong_usage(sample: str) -> None:
    assert invoke(["decode", sample, "--kind", "detection", "--topic", "/x"]) == 2


def test_a_configuration_gives_topics_key_and_fabric(
    sample: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(_CONFIG)
    record = _decoded(capsys, sample, "--config", str(config))["record"]
    assert record["topic"] == "my.detections"
    assert record["key"] == SAMPLE_DICT["hashes"]["sha256"]
    assert record["headers"]["ce_source"] == "/opendxl/lab"
    (tmp_path / "payload").write_bytes(b"")
    assert _decoded(capsys, sample, "--config", str(config))["dead_letter"]["topic"] == "my.dead"


def test_what_could_control_a_terminal_is_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "Müll\x1b[2J\x9b\u202e\x7f\U000e0001.exe"
    (tmp_path / "payload").write_bytes(wire(name=name))
    assert invoke(["decode", str(tmp_path / "payload")]) == 0
    output = capsys.readouterr().out
    assert "Müll" in output
    assert output.replace("\n", "").isprintable()
    assert json.loads(output)["record"]["value"]["name"] == name


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_that_cannot_be_read_is_one_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    assert invoke(["decode", str(file)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"cannot read {file}: ")
    assert output.err.count("\n") == 1


def test_a_file_without_end_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["decode", "/dev/zero"]) == 1
    assert "is larger than" in capsys.readouterr().err


def test_no_file_is_wrong_usage() -> None:
    assert invoke(["decode"]) == 2


def test_the_schema_describes_the_fields_of_the_detection(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert list(schema["properties"]) == list(SAMPLE_DICT)
    assert schema["required"] == ["hashes"]
    assert list(schema["$defs"]["Hashes"]["properties"]) == ["md5", "sha1", "sha256"]
    assert "default" not in json.dumps(schema)
    assert invoke(["schema", "detection"]) == 0
    assert json.loads(capsys.readouterr().out) == schema


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_schema_for_each_kind_that_its_records_meet(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["schema", kind]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$id"] == f"urn:tie-forwarder:{KINDS[kind].ce_type}"
    assert schema["additionalProperties"] is True
    assert set(as_dxltieclient(SAMPLES[kind], kind)) <= set(schema["properties"])
    assert list(schema["properties"]) == sorted(schema["properties"])
    assert schema.get("required", []) == ([] if kind == "certificate_reputation_change" else ["hashes"])


def test_a_wrong_kind_is_wrong_usage_and_lists_the_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["schema", "nonsense"]) == 2
    assert "detection" in capsys.readouterr().err
