"""The schemas: the package has what the formats say, and a consumer of the last release reads what comes now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.golden.records import CASES, record_of
from tests.golden.schemas import PACKAGE, RELEASED, as_text, schemas
from tie_forwarder.cli import invoke

SCHEMAS = dict(schemas())


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_package_carries_each_schema_and_the_command_prints_it(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (PACKAGE / name).read_text(encoding="utf-8")
    assert text == as_text(SCHEMAS[name]), "look at the difference after `python -m tests.golden`"
    kind, form, _ = name.split(".")
    assert invoke(["schema", kind, "--format", form]) == 0
    assert capsys.readouterr().out == text
    Draft202012Validator.check_schema(json.loads(text))


def test_the_package_carries_no_other_schema() -> None:
    assert {file.name for file in PACKAGE.iterdir()} == set(SCHEMAS)


def test_a_format_without_a_schema_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["schema", "detection", "--format", "raw"]) == 1
    error = capsys.readouterr().err
    assert "records in the format raw have no schema" in error
    assert "give one of json, cloudevents, ecs, ocsf with --format" in error


@pytest.mark.parametrize("case", CASES)
def test_what_is_rendered_now_is_valid_by_the_schema_of_the_last_release(case: str) -> None:
    kind, payload = CASES[case]
    for file in RELEASED.glob(f"{kind}.*.json"):
        form = file.name.split(".")[1]
        released = Draft202012Validator(json.loads(file.read_text(encoding="utf-8")))
        released.validate(json.loads(record_of(kind, payload, form).value))


def breaks(released: Any, now: Any, place: str = "") -> Iterator[str]:
    """What a consumer that was built on the released schema meets and does not expect."""
    if not isinstance(released, dict) or not isinstance(now, dict):
        if released != now:
            yield f"{place}: {released!r} has become {now!r}"
        return
    for name in released.get("required", []):
        if name not in now.get("required", []):
            yield f"{place}.{name} may be missing now"
    for section in ("properties", "$defs"):
        for name, inner in released.get(section, {}).items():
            if name not in now.get(section, {}):
                yield f"{place}.{name} is gone"
            else:
                yield from breaks(inner, now[section][name], f"{place}.{name}")
    for keyword in ("type", "const", "enum", "format", "$ref", "items", "anyOf", "additionalProperties", "minLength"):
        if keyword in released or (keyword in now and keyword not in ("format", "minLength", "additionalProperties")):
            yield from breaks(released.get(keyword), now.get(keyword), f"{place}({keyword})")


def test_every_released_schema_is_still_there_and_only_optional_fields_were_added() -> None:
    found = sorted(RELEASED.glob("*.json"))
    assert len(found) == 16
    for file in found:
        assert list(breaks(json.loads(file.read_text(encoding="utf-8")), SCHEMAS[file.name], file.stem)) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda schema: schema["properties"].pop("name"), "x.name is gone"),
        (lambda schema: schema["required"].remove("hashes"), "x.hashes may be missing now"),
        (lambda schema: schema["properties"].update(name={"type": "integer"}), "x.name"),
        (lambda schema: schema["properties"].update(colour={"type": "string"}), None),
    ],
)
def test_a_schema_that_would_break_a_consumer_is_found(change: Any, complaint: str | None) -> None:
    released, now = (
        json.loads(as_text(SCHEMAS["detection.json.json"])),
        json.loads(as_text(SCHEMAS["detection.json.json"])),
    )
    change(now)
    found = list(breaks(released, now, "x"))
    assert [one.startswith(complaint) for one in found if complaint][:1] == ([True] if complaint else [])
    assert bool(found) == bool(complaint)
