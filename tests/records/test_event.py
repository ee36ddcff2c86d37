"""The record of an event: its value, its key and its CloudEvents headers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.changes import SHA1, Case, with_fields
from tests.data.payloads import (
    EVENT_ID,
    SAMPLE,
    SAMPLE_DICT,
    SAMPLES,
    as_dxltieclient,
    message,
    valid_payloads,
    wire,
    with_hash,
)
from tie_forwarder.events.decoding import decode
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.records.event import KeyBy, render_event
from tie_forwarder.records.record import Record

_CLIENT = "68f3c7c6c0d2a25ad0d3c7f0a2ec1ac7d0ea2c11"
_BROKER = "{302fcba6-0d4f-4ca9-8532-704c9bbb8144}"


def _render(
    payload: bytes = SAMPLE,
    *,
    kind: str = "detection",
    key_by: KeyBy = "agent_guid",
    fabric: str = "main",
    event_id: str = EVENT_ID,
    **others: Any,
) -> Record:
    event = decode(KINDS[kind], payload)
    return render_event(event, message(payload, **others), event_id=event_id, fabric=fabric, key_by=key_by)


def test_the_value_is_the_dict_of_the_sample_in_its_order_as_compact_json() -> None:
    assert _render().value == json.dumps(SAMPLE_DICT, separators=(",", ":")).encode()


def test_known_fields_come_in_alphabetical_order_and_unknown_ones_after_them_in_wire_order() -> None:
    fields = dict(reversed([*json.loads(wire(zebra=1, ant=[{"b": 1, "a": 2}])).items()]))
    value = json.loads(_render(json.dumps(fields).encode()).value)
    assert list(value) == [*SAMPLE_DICT, "ant", "zebra"]
    assert list(value["hashes"]) == ["md5", "sha1", "sha256"]
    assert list(value["ant"][0]) == ["b", "a"]


def test_a_missing_field_is_missing_in_the_value_and_a_null_stays_null() -> None:
    value = json.loads(_render(wire(name=None, localReputation=..., hashes=json.loads(SAMPLE)["hashes"][2:])).value)
    assert value == {
        "agentGuid": SAMPLE_DICT["agentGuid"],
        "detectionTime": 1481301796,
        "hashes": {"md5": SAMPLE_DICT["hashes"]["md5"]},
        "name": None,
        "remediationAction": 5,
    }


def test_the_value_is_utf8_without_escapes() -> None:
    assert "Müll😀.exe".encode() in _render(wire(name="Müll😀.exe")).value


@settings(deadline=None, max_examples=100)
@given(valid_payloads())
def test_the_value_holds_exactly_the_decoded_dict(payload: bytes) -> None:
    fields = decode(KINDS["detection"], payload).fields
    value = json.loads(_render(payload).value)
    assert value == fields
    assert json.dumps(value, sort_keys=True) == json.dumps(fields, sort_keys=True)


def test_the_headers_are_those_of_a_cloudevent_in_binary_mode() -> None:
    record = _render(source_client_id=_CLIENT, source_broker_id=_BROKER)
    assert record.headers == (
        ("ce_specversion", b"1.0"),
        ("ce_id", EVENT_ID.encode()),
        ("ce_source", b"/opendxl/main"),
        ("ce_type", b"com.mcafee.tie.file.detection.v1"),
        ("ce_time", b"2016-12-09T16:43:16Z"),
        ("ce_subject", SAMPLE_DICT["hashes"]["sha256"].encode()),
        ("content-type", b"application/json"),
        ("ce_dxltopic", b"/mcafee/event/tie/file/detection"),
        ("ce_dxlclient", _CLIENT.encode()),
        ("ce_dxlbroker", _BROKER.encode()),
        ("ce_receivedtime", b"2023-11-14T22:13:20.123Z"),
    )
    assert record.destination == "detection"
    assert record.event_id == EVENT_ID
    assert record.received_at_ms == 1_700_000_000_123


def test_the_subject_is_the_strongest_hash_that_is_there() -> None:
    hashes = json.loads(SAMPLE)["hashes"]
    assert dict(_render(wire(hashes=hashes[1:])).headers)["ce_subject"] == SAMPLE_DICT["hashes"]["sha1"].encode()
    assert dict(_render(wire(hashes=hashes[2:])).headers)["ce_subject"] == SAMPLE_DICT["hashes"]["md5"].encode()
    assert "ce_subject" not in dict(_render(wire(hashes=[{"type": "sha512", "value": "AAEC"}])).headers)
    assert dict(_render(with_hash(type="sha512", value="AAEC")).headers)["ce_subject"].startswith(b"414bb16b")


@pytest.mark.parametrize("time", [..., None, -1, 1481301796000, 253_402_300_800, 2**63 - 1, -(2**63)])
def test_a_detection_time_that_is_missing_or_out_of_range_leaves_ce_time_out(time: Any) -> None:
    assert "ce_time" not in dict(_render(wire(detectionTime=time)).headers)


@pytest.mark.parametrize(
    ("time", "text"),
    [(0, b"1970-01-01T00:00:00Z"), ("1481301796", b"2016-12-09T16:43:16Z"), (253_402_300_799, b"9999-12-31T23:59:59Z")],
)
def test_a_detection_time_in_range_is_in_rfc_3339(time: Any, text: bytes) -> None:
    assert dict(_render(wire(detectionTime=time)).headers)["ce_time"] == text


def test_source_ids_from_the_fabric_are_cleaned_and_bounded() -> None:
    headers = dict(_render(source_client_id="a\r\nx: y\x00\x9b\ud800", source_broker_id="é" * 10_000).headers)
    assert headers["ce_dxlclient"].decode() == "a\ufffd\ufffdx: y\ufffd\ufffd\ufffd"
    assert headers["ce_dxlbroker"].decode() == "é" * 256


def test_the_fabric_name_is_quoted_in_the_source() -> None:
    assert dict(_render(fabric="Büro 1/a").headers)["ce_source"] == b"/opendxl/B%C3%BCro%201%2Fa"


@pytest.mark.parametrize(
    ("key_by", "key"),
    [
        ("agent_guid", b"68125cd6-a5d8-11e6-348e-000c29663178"),
        ("sha256", b"414bb16b10ece2db2d8448cb9f313f80cb77c310ca0c19ee03c73cba0c16fedb"),
        ("event_id", EVENT_ID.encode()),
        ("none", None),
    ],
)
def test_the_key_is_what_the_configuration_says(key_by: KeyBy, key: bytes | None) -> None:
    assert _render(key_by=key_by).key == key


@pytest.mark.parametrize(
    ("agent", "key"),
    [
        ("{68125CD6-A5D8-11E6-348E-000C29663178}", b"68125cd6-a5d8-11e6-348e-000c29663178"),
        ("myagent", b"myagent"),
        ("Ärger", "ärger".encode()),
        ("", None),
        ("{}", None),
        (None, None),
        (..., None),
        ("x" * 100_000, b"x" * 256),
    ],
)
def test_an_agent_of_any_shape_makes_a_key_and_a_missing_one_makes_none(agent: Any, key: bytes | None) -> None:
    assert _render(wire(agentGuid=agent)).key == key


def test_without_a_sha256_there_is_no_key_of_it() -> None:
    assert _render(wire(hashes=json.loads(SAMPLE)["hashes"][1:]), key_by="sha256").key is None


# The other kinds


@pytest.mark.parametrize(
    ("kind", "ce_type", "time", "subject"),
    [
        ("detection", "com.mcafee.tie.file.detection.v1", b"2016-12-09T16:43:16Z", "sha256"),
        ("first_instance", "com.mcafee.tie.file.first-instance.v1", None, "sha256"),
        ("file_reputation_change", "com.mcafee.tie.file.reputation-change.v1", b"2016-12-08T17:53:01Z", "sha256"),
        (
            "certificate_reputation_change",
            "com.mcafee.tie.certificate.reputation-change.v1",
            b"2016-12-08T17:53:20Z",
            "sha1",
        ),
    ],
)
def test_each_kind_has_its_type_its_time_and_the_strongest_hash_as_subject(
    kind: str, ce_type: str, time: bytes | None, subject: str
) -> None:
    record = _render(SAMPLES[kind], kind=kind)
    headers = dict(record.headers)
    assert record.destination == kind
    assert headers["ce_type"] == ce_type.encode()
    assert headers["ce_dxltopic"] == KINDS[kind].topic.encode()
    assert headers.get("ce_time") == time
    assert headers["ce_subject"].decode() == as_dxltieclient(SAMPLES[kind], kind)["hashes"][subject]


@pytest.mark.parametrize("kind", KINDS)
def test_the_value_of_each_kind_is_what_dxltieclient_delivers_with_known_fields_in_order(kind: str) -> None:
    value = json.loads(_render(SAMPLES[kind], kind=kind).value)
    assert json.dumps(value, sort_keys=True) == json.dumps(as_dxltieclient(SAMPLES[kind], kind), sort_keys=True)
    assert list(value) == sorted(value)


def _key_of(case: Case, key_by: KeyBy = "agent_guid") -> bytes | None:
    return _render(case.payload, kind=case.kind, key_by=key_by).key


def test_without_an_endpoint_the_key_is_the_file_or_the_key_of_the_certificate() -> None:
    file, certificate = "file_reputation_change", "certificate_reputation_change"
    sha256 = as_dxltieclient(SAMPLES[file], file)["hashes"]["sha256"].encode()
    sha1 = as_dxltieclient(SAMPLES[certificate], certificate)["hashes"]["sha1"].encode()
    public_key = as_dxltieclient(SAMPLES[certificate], certificate)["publicKeySha1"].encode()
    assert _key_of(with_fields("first_instance")) == b"68125cd6-a5d8-11e6-348e-000c29663178"
    assert _key_of(with_fields(file)) == sha256
    assert _key_of(with_fields(file, agentGuid="x", publicKeySha1=SHA1)) == sha256
    assert _key_of(with_fields(certificate)) == public_key
    assert _key_of(with_fields(certificate, hashes=[])) == public_key
    assert _key_of(with_fields(certificate, publicKeySha1=...)) == sha1
    assert _key_of(with_fields(file, hashes=[{"type": "sha512", "value": "AAEC"}])) is None


def test_the_other_keys_are_the_same_for_all_kinds() -> None:
    assert _key_of(with_fields("certificate_reputation_change"), "sha256") is None
    assert _key_of(with_fields("certificate_reputation_change", hashes=...), "sha256") is None
    for kind in KINDS:
        assert _key_of(with_fields(kind), "event_id") == EVENT_ID.encode()
        assert _key_of(with_fields(kind), "none") is None


def test_a_certificate_without_hashes_has_that_of_its_key_as_subject() -> None:
    case = with_fields("certificate_reputation_change", hashes=...)
    public_key = as_dxltieclient(case.payload, case.kind)["publicKeySha1"]
    assert dict(_render(case.payload, kind=case.kind).headers)["ce_subject"] == public_key.encode()


def test_a_field_of_another_kind_is_no_subject() -> None:
    headers = dict(_render(wire(hashes=[{"type": "sha512", "value": "AAEC"}], publicKeySha1=5)).headers)
    assert "ce_subject" not in headers


@settings(deadline=None)
@given(st.text(), st.text(), st.integers())
def test_header_values_are_printable_utf8_whatever_the_fabric_sends(client: str, broker: str, received: int) -> None:
    record = _render(source_client_id=client, source_broker_id=broker, received_at_ms=received)
    assert all(value.decode().isprintable() and value for _, value in record.headers)
