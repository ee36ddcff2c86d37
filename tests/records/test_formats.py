"""The formats of records: golden files, the schemas and models of others, and whatever valid payload comes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from py_ocsf_models.events.base_event import BaseEvent
from py_ocsf_models.events.findings.detection_finding import DetectionFinding
from py_ocsf_models.objects.fingerprint import FingerPrint
from py_ocsf_models.objects.observable import Reputation

from tests.data.changes import odd_cases, with_fields, with_reputation
from tests.data.payloads import EVENT_ID, SAMPLES, valid_payloads, with_hash
from tests.differential.documents import DOCUMENTS, JSON
from tests.golden.examples import DOCUMENT, examples, examples_in
from tests.golden.reading import expected, told_by_ecs, told_by_ocsf
from tests.golden.records import CASES, as_text, file_of, record_of, render
from tie_forwarder.events.decoding import decode
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.records.formats import FORMATS
from tie_forwarder.records.formats.words import known_fields

JSON_FORMATS = [name for name, form in FORMATS.items() if form.schema is not None]
EVERY_CASE = {**CASES, **odd_cases()}


def validator(form: str, kind: str) -> Draft202012Validator:
    schema = FORMATS[form].schema
    assert schema is not None
    return Draft202012Validator(schema(KINDS[kind]), format_checker=Draft202012Validator.FORMAT_CHECKER)


def value_of(kind: str, payload: bytes, form: str) -> Any:
    return json.loads(record_of(kind, payload, form).value)


@pytest.mark.parametrize("form", FORMATS)
def test_the_records_are_those_of_the_golden_files(form: str) -> None:
    assert len(CASES) == 12
    assert file_of(form).read_text(encoding="utf-8") == as_text({case: render(case, form) for case in CASES}), (
        "look at the difference after `python -m tests.golden`"
    )


def test_the_examples_in_the_docs_are_what_the_command_shows() -> None:
    assert examples_in(DOCUMENT.read_text(encoding="utf-8")) == examples(), (
        "look at the difference after `python -m tests.golden`"
    )


@pytest.mark.parametrize("form", JSON_FORMATS)
@pytest.mark.parametrize("case", EVERY_CASE)
def test_every_record_is_as_its_schema_says(case: str, form: str) -> None:
    kind, payload = EVERY_CASE[case]
    validator(form, kind).validate(value_of(kind, payload, form))


@given(payload=valid_payloads())
@settings(max_examples=150, deadline=None)
def test_whatever_valid_detection_comes_each_format_has_a_record_that_its_schema_allows(payload: bytes) -> None:
    for form in JSON_FORMATS:
        _DETECTIONS[form].validate(value_of("detection", payload, form))
    DetectionFinding.model_validate_json(record_of("detection", payload, "ocsf").value)


_DETECTIONS = {form: validator(form, "detection") for form in JSON_FORMATS}

# What belongs to other kinds, or to the words of a format, and has no business in the kind that has it.
_STRANGE_FIELDS = (
    "agentGuid", "name", "detectionTime", "updateTime", "localReputation", "newReputations",
    "source", "unknown", "dxl", "local_reputation_name", "certificate", "file",
)  # fmt: skip
_STRANGE_MEMBERS = ("trust_level", "trust_level_name", "provider", "provider_id", "named_attributes", "unknown")


def _with_strangers(kind: str) -> st.SearchStrategy[bytes]:
    """Payloads of the kind with strange fields in the event and strange members in its reputations."""
    known = known_fields(KINDS[kind])
    fields = st.dictionaries(st.sampled_from([name for name in _STRANGE_FIELDS if name not in known]), JSON, max_size=3)
    members = st.dictionaries(st.sampled_from(_STRANGE_MEMBERS), JSON, max_size=2)

    def made(document: dict[str, Any], fields: dict[str, Any], members: dict[str, Any]) -> bytes:
        for name in {"newReputations", "oldReputations"} & document.keys():
            for reputation in document[name].get("reputations", ()):
                reputation |= members
        return json.dumps({**fields, **document}).encode()

    return st.builds(made, DOCUMENTS[kind], fields, members)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_valid_is_told_whole_by_every_format_and_nothing_unknown_passes_for_known(
    kind: str, data: st.DataObject
) -> None:
    payload = data.draw(_WITH_STRANGERS[kind])
    event = decode(KINDS[kind], payload)
    values = {form: value_of(kind, payload, form) for form in JSON_FORMATS}
    for form, value in values.items():
        _ALL[form, kind].validate(value)
    BaseEvent.model_validate(values["ocsf"])
    assert told_by_ecs(event, values["ecs"]) == expected(event)
    assert told_by_ocsf(event, values["ocsf"]) == expected(event)


_WITH_STRANGERS = {kind: _with_strangers(kind) for kind in KINDS}
_ALL = {(form, kind): validator(form, kind) for form in JSON_FORMATS for kind in KINDS}


def test_what_a_publisher_invents_in_a_reputation_does_not_change_what_is_said_of_it() -> None:
    case = with_reputation("file_reputation_change", trust_level=[], provider="enterprise", trust_level_name="good")
    for rest in (value_of(*case, "ecs")["trellix"]["tie"], value_of(*case, "ocsf")["unmapped"]):
        first = rest["new_reputations"][0]
        assert (first["provider"], first["trust_level"], first["trust_level_name"]) == ("gti", 99, "known_trusted")
        assert first["unknown"] == {"trust_level": [], "provider": "enterprise", "trust_level_name": "good"}


def test_a_name_where_the_kind_has_none_is_no_name_of_a_file() -> None:
    case = with_fields("file_reputation_change", name=5)
    assert value_of(*case, "ecs")["file"].keys() == {"hash"}
    assert value_of(*case, "ocsf")["osint"][0]["file"]["name"] == ""


def test_ecs_has_only_hashes_that_it_knows_below_file() -> None:
    document = value_of("detection", with_hash(type="imphash", value="AAEC"), "ecs")
    assert document["file"]["hash"].keys() == {"md5", "sha1", "sha256"}
    assert document["trellix"]["tie"]["hash"] == {"imphash": "000102"}
    assert "000102" in document["related"]["hash"]


@pytest.mark.parametrize("form", FORMATS)
def test_the_headers_but_for_the_content_type_and_the_key_are_the_same_in_every_format(form: str) -> None:
    for kind, payload in CASES.values():
        record, plain = record_of(kind, payload, form), record_of(kind, payload, "json")
        assert record._replace(value=b"", headers=()) == plain._replace(value=b"", headers=())
        headers, plain_headers = dict(record.headers), dict(plain.headers)
        assert headers.pop("content-type") == FORMATS[form].content_type
        assert plain_headers.pop("content-type") == b"application/json"
        assert headers == plain_headers


def test_raw_is_the_payload_to_the_last_byte() -> None:
    for kind, payload in CASES.values():
        assert record_of(kind, payload + b"\0\0", "raw").value == payload + b"\0\0"


@pytest.mark.parametrize("case", EVERY_CASE)
def test_a_cloudevent_carries_the_value_of_json_and_the_attributes_of_the_headers(case: str) -> None:
    kind, payload = EVERY_CASE[case]
    record = record_of(kind, payload, "cloudevents")
    event = json.loads(record.value)
    assert event.pop("data") == value_of(kind, payload, "json")
    assert event.pop("datacontenttype") == "application/json"
    attributes = {name.removeprefix("ce_"): text.decode() for name, text in record.headers if name.startswith("ce_")}
    assert event == attributes


@pytest.mark.parametrize("case", [case for case, (kind, _) in EVERY_CASE.items() if kind == "detection"])
def test_a_detection_is_a_detection_finding_of_ocsf(case: str) -> None:
    kind, payload = EVERY_CASE[case]
    record = record_of(kind, payload, "ocsf")
    finding = DetectionFinding.model_validate_json(record.value, strict=False)
    assert (finding.class_uid, finding.category_uid, finding.type_uid, finding.activity_id) == (2004, 2, 200401, 1)
    assert finding.finding_info.uid == finding.metadata.uid == EVENT_ID
    assert finding.severity_id == 0
    assert json.loads(record.value)["disposition_id"] == 0


@pytest.mark.parametrize("case", EVERY_CASE)
def test_every_record_is_a_base_event_of_ocsf_with_a_type_that_its_class_and_activity_make(case: str) -> None:
    kind, payload = EVERY_CASE[case]
    record = record_of(kind, payload, "ocsf")
    BaseEvent.model_validate_json(record.value)
    document = json.loads(record.value)
    assert document["type_uid"] == document["class_uid"] * 100 + document["activity_id"]
    assert document["class_uid"] // 1000 == document["category_uid"]


def test_the_hashes_of_ocsf_have_the_numbers_of_their_algorithms() -> None:
    finding = value_of(*CASES["detection with a SHA-512"], "ocsf")
    found = {entry["algorithm_id"]: len(entry["value"]) for entry in finding["evidences"][0]["file"]["hashes"]}
    assert found == {1: 32, 2: 40, 3: 64, 4: 128}


@pytest.mark.parametrize("case", [case for case, (kind, _) in EVERY_CASE.items() if kind != "detection"])
def test_the_other_kinds_are_indicators_of_a_source_of_threat_intelligence(case: str) -> None:
    kind, payload = EVERY_CASE[case]
    document = value_of(kind, payload, "ocsf")
    assert (document["class_uid"], document["type_uid"]) == (5021, 502101)
    assert document["osint"]
    for indicator in document["osint"]:
        assert (indicator["type_id"], "file" in indicator) == ((7, False) if "certificate" in kind else (4, True))
        for fingerprint in indicator.get("file", {}).get("hashes", []):
            FingerPrint.model_validate(fingerprint)
        if "reputation" in indicator:
            Reputation.model_validate(indicator["reputation"])


def test_a_certificate_without_a_hash_of_a_known_type_is_an_indicator_all_the_same() -> None:
    hashes = [{"type": "sha512", "value": "AAEC"}]
    case = with_fields("certificate_reputation_change", hashes=hashes, publicKeySha1=...)
    assert value_of(*case, "ocsf")["osint"][0]["value"] == "000102"


def test_the_endpoint_of_an_event_is_the_device_of_ocsf() -> None:
    for kind in ("detection", "first_instance"):
        assert value_of(kind, SAMPLES[kind], "ocsf")["device"]["uid"] == "68125cd6-a5d8-11e6-348e-000c29663178"


# From the field reference of ECS: the types that are expected with a category.
ECS_TYPES = {"malware": {"info"}, "file": {"access", "change", "creation", "deletion", "info"}, "threat": {"indicator"}}


@pytest.mark.parametrize("kind", KINDS)
def test_ecs_has_a_kind_a_category_and_a_type_that_go_together(kind: str) -> None:
    event = value_of(kind, SAMPLES[kind], "ecs")["event"]
    assert event["kind"] == ("alert" if kind == "detection" else "event")
    assert event["category"] == ["malware"] or kind != "detection"
    for category in event["category"]:
        assert set(event["type"]) <= ECS_TYPES[category]


def test_what_ecs_and_ocsf_have_no_field_for_is_kept_below_their_own() -> None:
    case = CASES["detection with more than is known"]
    assert value_of(*case, "ecs")["trellix"]["tie"]["unknown"] == {"severity": {"level": [1, 2.5]}}
    assert value_of(*case, "ocsf")["unmapped"]["unknown"] == {"severity": {"level": [1, 2.5]}}
    for rest in (value_of(*case, "ecs")["trellix"]["tie"], value_of(*case, "ocsf")["unmapped"]):
        assert (rest["local_reputation"], rest["local_reputation_name"]) == (1, "known_malicious")


def test_reputations_have_the_names_that_are_public_and_their_numbers() -> None:
    change = value_of(*CASES["file reputation change"], "ecs")["trellix"]["tie"]["new_reputations"]
    assert [(one["provider_id"], one["provider"], one["trust_level_name"]) for one in change] == [
        (1, "gti", "known_trusted"), (3, "enterprise", "most_likely_malicious"),
    ]  # fmt: skip
    assert change[1]["attributes"]["2101652"] == change[1]["named_attributes"]["prevalence"] == "235"
    assert value_of(*CASES["file reputation change"], "ocsf")["unmapped"]["new_reputations"] == change
    indicators = value_of(*CASES["file reputation change"], "ocsf")["osint"]
    assert [one["reputation"]["score_id"] for one in indicators] == [1, 9]
    assert [one["reputation"]["provider"] for one in indicators] == ["gti", "enterprise"]
