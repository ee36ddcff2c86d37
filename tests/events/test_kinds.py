"""The events other than the detection: valid ones are what dxltieclient delivers, all others say why they are none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dxltieclient import client

from tests.data.changes import BOTH, SHA1, hostile_cases, odd_cases, with_certificate, with_fields, with_reputation
from tests.data.payloads import SAMPLES, as_dxltieclient
from tie_forwarder.events.decoding import decode
from tie_forwarder.events.event import Event
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.events.message import TOPICS
from tie_forwarder.events.reasons import InvalidEventError

_HOSTILE = hostile_cases()
_ODD = odd_cases()


def _decoded(case: tuple[str, bytes]) -> Event:
    kind, payload = case
    return decode(KINDS[kind], payload)


def test_the_topics_are_those_of_dxltieclient() -> None:
    assert TOPICS == {
        "detection": client.TIE_EVENT_FILE_DETECTION_TOPIC,
        "first_instance": client.TIE_EVENT_FILE_FIRST_INSTANCE_TOPIC,
        "file_reputation_change": client.TIE_EVENT_FILE_REPUTATION_CHANGE_TOPIC,
        "certificate_reputation_change": client.TIE_EVENT_CERT_REPUTATION_CHANGE_TOPIC,
    }
    assert {name: kind.topic for name, kind in KINDS.items()} == TOPICS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tail", [b"", b"\0", b"\0\0"])
def test_the_sample_decodes_as_dxltieclient_decodes_it(kind: str, tail: bytes) -> None:
    event = _decoded((kind, SAMPLES[kind] + tail))
    assert repr(event.fields) == repr(as_dxltieclient(SAMPLES[kind], kind))
    assert event.unknown_fields == 0


@pytest.mark.parametrize("name", _ODD)
def test_an_odd_but_valid_payload_decodes_as_dxltieclient_decodes_it(name: str) -> None:
    kind, payload = _ODD[name]
    assert repr(_decoded(_ODD[name]).fields) == repr(as_dxltieclient(payload, kind))


@pytest.mark.parametrize("name", _HOSTILE)
def test_a_hostile_payload_is_refused_with_its_reason(name: str) -> None:
    case, reason = _HOSTILE[name]
    with pytest.raises(InvalidEventError) as refused:
        _decoded(case)
    assert refused.value.reason.value == reason
    assert refused.value.detail


def test_reputations_are_by_the_integer_of_their_provider() -> None:
    fields = _decoded(("file_reputation_change", SAMPLES["file_reputation_change"])).fields
    assert list(fields["newReputations"]) == list(fields["oldReputations"]) == [1, 3]
    assert fields["newReputations"][3]["trustLevel"] == 15


@pytest.mark.parametrize("kind", BOTH)
def test_strings_of_digits_in_integer_fields_become_integers(kind: str) -> None:
    overridden = {"files": [], "truncated": "1"}
    case = with_reputation(kind, providerId="7", trustLevel="85", createDate="-1", overridden=overridden)
    reputation = _decoded(case).fields["newReputations"][7]
    assert [reputation[name] for name in ("providerId", "trustLevel", "createDate")] == [7, 85, -1]
    assert reputation["overridden"]["truncated"] == 1
    assert _decoded(with_fields(kind, updateTime="1481219581")).time == 1481219581


def test_digits_in_attributes_stay_text() -> None:
    event = _decoded(("file_reputation_change", SAMPLES["file_reputation_change"]))
    assert event.fields["newReputations"][1]["attributes"] == {"2120340": "2139160704"}


@pytest.mark.parametrize(
    ("case", "count"),
    [
        (with_fields("first_instance", detectionTime=1, x={"y": 1}), 2),
        (with_reputation("file_reputation_change", detectTime=1, x=2), 2),
        (with_fields("file_reputation_change", oldReputations={"reputations": [], "props": {}, "overridden": {}}), 1),
        (with_certificate(publicKeySha1=SHA1, serial="1"), 1),
        (with_fields("file_reputation_change", publicKeySha1=SHA1), 1),
        (with_fields("certificate_reputation_change", relationships={"certificate": {"x": 1}, "y": 2}), 3),
        (with_reputation("certificate_reputation_change", overridden={"x": 1, "files": [{"name": "a"}]}), 2),
        (with_reputation("certificate_reputation_change", attributes={"9999999": "of the future"}), 0),
    ],
)
def test_unknown_fields_are_counted_wherever_they_stand(case: tuple[str, bytes], count: int) -> None:
    assert _decoded(case).unknown_fields == count


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_record_holds_is_valid_again_for_who_reads_it(kind: str) -> None:
    event = _decoded((kind, SAMPLES[kind]))
    value = KINDS[kind].adapter.serializer.to_json(event.model, exclude_unset=True)
    model = type(event.model)
    assert model.model_validate_json(value) == model.model_validate(json.loads(value)) == event.model


@pytest.mark.parametrize(
    ("case", "place"),
    [
        (with_reputation("file_reputation_change", trustLevel="hunter2"), "newReputations.1.trustLevel: "),
        (with_reputation("file_reputation_change", providerId="hunter2"), "newReputations: "),
        (with_certificate(publicKeySha1="hunter2"), "relationships.certificate.publicKeySha1: "),
        (with_certificate(hashes=[{"type": "sha1", "value": "hunter2"}]), "relationships.certificate.hashes: "),
    ],
)
def test_a_complaint_names_the_place_and_not_the_value(case: Any, place: str) -> None:
    with pytest.raises(InvalidEventError) as refused:
        _decoded(case)
    assert refused.value.detail.startswith(place)
    assert "hunter2" not in str(refused.value)
