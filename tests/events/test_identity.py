"""The event id: the DXL message id where that is a UUID, and otherwise made from topic and payload."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.payloads import EVENT_ID, MESSAGE_ID, SAMPLE, message
from tie_forwarder.events.message import NAMESPACE, event_id


@pytest.mark.parametrize("text", [MESSAGE_ID, MESSAGE_ID.upper(), MESSAGE_ID[1:-1], EVENT_ID])
def test_the_event_id_is_the_message_id_in_lower_case_without_braces(text: str) -> None:
    assert event_id(message(message_id=text)) == EVENT_ID


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "{",
        "{" + EVENT_ID,
        EVENT_ID + "}",
        "{{" + EVENT_ID + "}}",
        EVENT_ID + "\n",
        " " + EVENT_ID,
        EVENT_ID.replace("-", ""),
        EVENT_ID[:-1] + "g",
        EVENT_ID.replace("5", "\u0665"),
        "{00000000-0000-0000-0000-000000000000}",
        "\ud800",
    ],
)
def test_a_missing_malformed_or_nil_message_id_is_replaced_by_a_uuid_of_topic_and_payload(text: str) -> None:
    found = event_id(message(message_id=text))
    name = f"{message().topic}\0{SAMPLE.decode()}"
    assert found == str(uuid.uuid5(NAMESPACE, name))


def test_messages_that_differ_in_topic_or_payload_have_different_made_ids() -> None:
    ids = {
        event_id(message(message_id="", topic=topic, payload=payload))
        for topic in ("/a", "/b")
        for payload in (b"a", b"b")
    }
    assert len(ids) == 4


def test_the_namespace_never_changes() -> None:
    assert uuid.uuid5(uuid.NAMESPACE_URL, "urn:tie-forwarder:event") == NAMESPACE


@given(st.text(), st.text(), st.binary())
def test_every_message_has_a_canonical_event_id(message_id: str, topic: str, payload: bytes) -> None:
    found = event_id(message(message_id=message_id, topic=topic, payload=payload))
    assert str(uuid.UUID(found)) == found
