"""`kafka.format`: one format for all kinds in short, or one for each, from file, environment and flags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tie_forwarder.config import load
from tie_forwarder.config.faults import ConfigError

KINDS = ("detection", "first_instance", "file_reputation_change", "certificate_reputation_change")
VARIABLE = "TIE_FORWARDER_KAFKA__FORMAT"


def formats(
    directory: Path, text: str, environ: dict[str, str] | None = None, overrides: dict[str, Any] | None = None
) -> dict[str, str]:
    file = directory / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, environ=environ or {}, overrides=overrides).kafka.format.by_kind()


def all_but(form: str, **others: str) -> dict[str, str]:
    return {**dict.fromkeys(KINDS, form), **others}


def test_the_default_is_json_for_all(tmp_path: Path) -> None:
    assert formats(tmp_path, "kafka: {}\n") == all_but("json")


def test_one_format_in_short_is_for_all_kinds(tmp_path: Path) -> None:
    assert formats(tmp_path, "kafka: {format: ecs}\n") == all_but("ecs")


def test_a_kind_that_is_not_named_has_the_default(tmp_path: Path) -> None:
    assert formats(tmp_path, "kafka: {format: {detection: ocsf}}\n") == all_but("json", detection="ocsf")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({VARIABLE: "ocsf"}, all_but("ocsf")),
        ({f"{VARIABLE}__DETECTION": "raw"}, all_but("ecs", detection="raw")),
        ({VARIABLE: "ocsf", f"{VARIABLE}__FIRST_INSTANCE": "json"}, all_but("ocsf", first_instance="json")),
    ],
)
def test_the_environment_goes_over_a_short_form_in_the_file(
    tmp_path: Path, environ: dict[str, str], expected: dict[str, str]
) -> None:
    assert formats(tmp_path, "kafka: {format: ecs}\n", environ) == expected


def test_a_flag_goes_over_both(tmp_path: Path) -> None:
    found = formats(
        tmp_path,
        "kafka: {format: {detection: ecs}}\n",
        {f"{VARIABLE}__DETECTION": "raw"},
        {"kafka.format": "cloudevents"},
    )
    assert found == all_but("cloudevents")


@pytest.mark.parametrize(
    ("text", "place", "field", "words"),
    [
        ("kafka: {format: ecz}\n", "config.yaml", "kafka.format", "did you mean ecs?"),
        ("kafka: {format: {detection: jsn}}\n", "config.yaml", "kafka.format.detection", "did you mean json?"),
        (
            "kafka: {format: {detections: json}}\n", "config.yaml", "kafka.format.detections",
            "did you mean kafka.format.detection?",
        ),
        ("kafka: {format: [json]}\n", "config.yaml", "kafka.format", "must be a section"),
    ],
)  # fmt: skip
def test_a_bad_format_is_one_sentence_with_place_and_remedy(
    tmp_path: Path, text: str, place: str, field: str, words: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        formats(tmp_path, text)
    (fault,) = [fault for fault in raised.value.faults if fault.field == field]
    assert place in fault.place
    assert words in f"{fault.message}; {fault.remedy}"


def test_a_bad_format_for_all_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        formats(tmp_path, "kafka: {format: ecz}\n")
    assert len(raised.value.faults) == 1


def test_the_payload_as_it_came_has_no_schema_for_a_registry(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        formats(tmp_path, "kafka: {format: {detection: raw}, schema_registry: {url: 'http://127.0.0.1:1'}}\n")
    (fault,) = raised.value.faults
    assert fault.field == "kafka.format.detection"
    assert "remove kafka.schema_registry.url" in fault.remedy
