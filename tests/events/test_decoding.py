"""A valid detection is what dxltieclient delivers; what is none is refused with its reason; nothing is ever made up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from tests.data.changes import hostile_cases
from tests.data.payloads import (
    SAMPLE,
    SAMPLE_DICT,
    as_dxltieclient,
    hostile_payloads,
    nearly_valid_payloads,
    valid_payloads,
    wire,
    with_hash,
)
from tie_forwarder.events.decoding import decode
from tie_forwarder.events.detection import DETECTION
from tie_forwarder.events.reasons import InvalidEventError, Reason

_INTEGERS = ("detectionTime", "localReputation", "remediationAction")
_HOSTILE = hostile_payloads()


def _in_detail(value: Any) -> str:
    """Tells 1, 1.0, True and "1" apart, and one order of keys from another."""
    return json.dumps(value)


def _with_integers(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: int(value) if name in _INTEGERS and isinstance(value, str) else value for name, value in fields.items()
    }


def test_the_sample_decodes_to_the_dict_that_dxltieclient_prints() -> None:
    event = decode(DETECTION, SAMPLE)
    assert event.fields == SAMPLE_DICT == as_dxltieclient(SAMPLE)
    assert event.time == 1481301796
    assert event.unknown_fields == 0


@settings(deadline=None, max_examples=150)
@given(valid_payloads())
def test_every_valid_payload_decodes_as_dxltieclient_decodes_it_in_the_same_order(payload: bytes) -> None:
    assert _in_detail(decode(DETECTION, payload).fields) == _in_detail(as_dxltieclient(payload))


@settings(deadline=None, max_examples=300)
@given(nearly_valid_payloads())
def test_a_nearly_valid_payload_is_refused_or_equal_but_never_silently_different(payload: bytes) -> None:
    try:
        event = decode(DETECTION, payload)
    except InvalidEventError:
        return
    assert _in_detail(event.fields) == _in_detail(_with_integers(as_dxltieclient(payload)))


@pytest.mark.parametrize("name", _HOSTILE)
def test_a_hostile_payload_is_refused_with_its_reason(name: str) -> None:
    payload, reason = _HOSTILE[name]
    with pytest.raises(InvalidEventError) as refused:
        decode(DETECTION, payload)
    assert refused.value.reason.value == reason
    assert refused.value.detail


@pytest.mark.parametrize(
    "payload",
    [
        SAMPLE + b"\0",
        SAMPLE + b"\0\0\0",
        b" \r\n\t" + SAMPLE + b"\n",
        wire(name="C:\\Temp\\a:b.exe"),
        wire(name="\U0001f600\u2028\x00\x7f\u202e"),
        wire(name="", agentGuid=""),
        wire(agentGuid="myagent"),
        wire(agentGuid=...),
        wire(agentGuid=..., detectionTime=..., localReputation=..., name=..., remediationAction=...),
        wire(agentGuid=None, detectionTime=None, localReputation=None, name=None, remediationAction=None),
        wire(hashes=json.loads(SAMPLE)["hashes"][1:]),
        wire(detectionTime=-1, localReputation=-(2**63), remediationAction=2**63 - 1),
        wire(later=10**300, small=5e-324, minus=-0.0, nothing=None, flag=True),
        wire(x=[[[[[[{"a": {"b": {"c": []}}}]]]]]]),
        wire(x="y" * 1_000_000),
        wire(model_config=1, model_fields_set=2, __dict__=3, __class__=4, agent_guid=5, copy=6, default=7),
    ],
)
def test_an_odd_but_valid_payload_decodes_as_dxltieclient_decodes_it(payload: bytes) -> None:
    assert _in_detail(decode(DETECTION, payload).fields) == _in_detail(as_dxltieclient(payload))


@pytest.mark.parametrize(
    ("text", "integer"), [("5", 5), ("-5", -5), ("007", 7), ("-0", 0), (str(2**63 - 1), 2**63 - 1)]
)
def test_a_string_of_digits_in_an_integer_field_becomes_an_integer(text: str, integer: int) -> None:
    fields = decode(DETECTION, wire(localReputation=text)).fields
    assert fields == {**SAMPLE_DICT, "localReputation": integer}
    assert list(fields) == list(SAMPLE_DICT)


def test_digits_in_other_fields_stay_strings() -> None:
    assert decode(DETECTION, wire(name="123", build="7")).fields == {**SAMPLE_DICT, "name": "123", "build": "7"}


def test_unknown_fields_are_kept_and_counted() -> None:
    event = decode(DETECTION, wire(sensor={"id": 4, "site": "x"}, ruleId=None))
    assert event.fields == {**SAMPLE_DICT, "sensor": {"id": 4, "site": "x"}, "ruleId": None}
    assert event.unknown_fields == 2


def test_an_unknown_hash_type_is_kept_as_hex_and_counted() -> None:
    event = decode(DETECTION, with_hash(type="sha512", value="AAEC"))
    assert event.fields["hashes"] == {**SAMPLE_DICT["hashes"], "sha512": "000102"}
    assert event.unknown_fields == 1


def test_a_further_member_of_a_hash_is_dropped_as_dxltieclient_drops_it_but_counted() -> None:
    payload = with_hash(type="sha512", value="AAEC", bits=512)
    event = decode(DETECTION, payload)
    assert event.fields == as_dxltieclient(payload)
    assert event.unknown_fields == 2


def test_a_complaint_names_the_place_and_not_the_value() -> None:
    with pytest.raises(InvalidEventError) as refused:
        decode(DETECTION, wire(detectionTime="hunter2"))
    assert refused.value.detail.startswith("detectionTime: ")
    assert "hunter2" not in str(refused.value)


def test_reason_codes_are_the_names_in_lower_case_and_each_has_one_sentence() -> None:
    for reason in Reason:
        assert reason.value == reason.name.lower()
        assert reason.description.endswith(".")
        assert ". " not in reason.description


def test_every_reason_of_decoding_occurs_among_the_hostile_payloads() -> None:
    later = {Reason.UNKNOWN_TOPIC, Reason.INTERNAL_ERROR, Reason.CORRUPT}
    later |= {reason for reason in Reason if reason.value.startswith("refused")}
    found = {reason for _, reason in (*_HOSTILE.values(), *hostile_cases().values())}
    assert {Reason(reason) for reason in found} == set(Reason) - later
