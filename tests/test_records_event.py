"""The record of a detection: its value, its key and its CloudEvents headers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.payloads import EVENT_ID, SAMPLE, SAMPLE_DICT, message, valid_payloads, wire, with_hash
from tie_forwarder.events.decoding import decode
from tie_forwarder.events.detection import DETECTION
from tie_forwarder.records.event import KeyBy, render_event
from tie_forwarder.records.record import Record

_CLIENT = "68f3c7c6c0d2a25ad0d3c7f0a2ec1ac7d0ea2c11"
_BROKER = "{302fcba6-0d4f-4ca9-8532-704c9bbb8144}"


def _render(
    payload: bytes = SAMPLE,
    *,
    key_by: KeyBy = "agent_guid",
    fabric: str = "main",
    event_id: str = EVENT_ID,
    **others: Any,
) -> Record:
    event = decode(DETECTION, payload)
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
    fields = decode(DETECTION, payload).fields
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


@settings(deadline=None)
@given(st.text(), st.text(), st.integers())
def test_header_values_are_printable_utf8_whatever_the_fabric_sends(client: str, broker: str, received: int) -> None:
    record = _render(source_client_id=client, source_broker_id=broker, received_at_ms=received)
    assert all(value.decode().isprintable() and value for _, value in record.headers)
