"""Intake: every message becomes a record or a dead letter, and nothing that arrives can raise out of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.payloads import EVENT_ID, SAMPLE, hostile_payloads, message, nearly_valid_payloads, wire
from tie_forwarder.events.detection import DETECTION
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.events.message import Message
from tie_forwarder.events.reasons import Reason
from tie_forwarder.intake import Accepted, Intake

_HOSTILE = hostile_payloads()
_INTAKE = Intake(fabric="main", key_by="agent_guid", kinds=("detection",))


def accept(sent: Message, intake: Intake = _INTAKE) -> Accepted:
    """What becomes of a message where nothing is filtered."""
    accepted = intake.accept(sent)
    assert isinstance(accepted, Accepted)
    return accepted


def test_a_valid_detection_is_accepted_as_its_record() -> None:
    accepted = accept(message(wire(extra=1)))
    assert accepted.record.destination == "detection"
    assert accepted.record.event_id == EVENT_ID
    assert accepted[1:] == ("detection", None, 1, 1481301796)


def test_a_detection_without_a_time_has_none() -> None:
    assert accept(message(wire(detectionTime=None))).detection_time is None


@pytest.mark.parametrize("name", _HOSTILE)
def test_a_hostile_payload_becomes_a_dead_letter_with_its_bytes(name: str) -> None:
    payload, reason = _HOSTILE[name]
    accepted = accept(message(payload))
    assert accepted.record.destination == "dead_letter"
    assert accepted.record.value == payload
    assert accepted.record.event_id == EVENT_ID
    assert accepted[1:] == ("detection", reason, 0, None)
    assert dict(accepted.record.headers)["reason"] == reason.encode()


@pytest.mark.parametrize("topic", ["", "/mcafee/event/tie/file/firstinstance", DETECTION.topic + "/", "\ud800"])
def test_a_message_on_another_topic_becomes_a_dead_letter(topic: str) -> None:
    accepted = accept(message(topic=topic))
    assert accepted.record.value == SAMPLE
    assert accepted[1:] == ("unknown", "unknown_topic", 0, None)


def test_a_kind_that_is_not_enabled_is_an_unknown_topic() -> None:
    assert accept(message(), Intake(fabric="main", key_by="none", kinds=())).reason == "unknown_topic"


def test_a_fault_of_our_own_keeps_the_bytes_and_does_not_quote_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fields: dict[str, Any]) -> int:
        raise RecursionError(f"because of {fields}")

    monkeypatch.setitem(KINDS, "detection", dataclasses.replace(DETECTION, from_wire=fail))
    accepted = accept(message(), Intake(fabric="main", key_by="none", kinds=("detection",)))
    assert accepted.record.value == SAMPLE
    assert accepted.reason == "internal_error"
    assert dict(accepted.record.headers)["detail"] == b"RecursionError in fail"


@settings(deadline=None, max_examples=300)
@given(
    st.binary() | nearly_valid_payloads(),
    st.just(DETECTION.topic) | st.text(),
    st.text(),
    st.text(),
    st.integers(-(2**70), 2**70),
)
def test_whatever_arrives_becomes_a_record_or_a_dead_letter_with_all_bytes(
    payload: bytes, topic: str, message_id: str, client: str, received: int
) -> None:
    sent = message(
        payload,
        topic=topic,
        message_id=message_id,
        source_client_id=client,
        source_broker_id=client,
        received_at_ms=received,
    )
    accepted = accept(sent)
    assert accepted.reason != "internal_error"
    if accepted.reason is None:
        assert accepted.record.destination == "detection"
    else:
        assert Reason(accepted.reason)
        assert accepted.record.destination == "dead_letter"
        assert accepted.record.value == payload
