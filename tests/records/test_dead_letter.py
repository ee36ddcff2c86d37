"""The dead letter keeps the bytes and says why; of a record that Kafka refused it keeps what fits."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from tests.data.payloads import EVENT_ID, SAMPLE, message
from tie_forwarder import __version__
from tie_forwarder.events.decoding import decode
from tie_forwarder.events.detection import DETECTION
from tie_forwarder.events.reasons import Reason
from tie_forwarder.records.dead_letter import render_dead_letter, render_refused
from tie_forwarder.records.event import render_event
from tie_forwarder.records.record import Record


def _refused_event(keep_bytes: int) -> tuple[Record, Record]:
    sent = message(source_client_id="client", source_broker_id="broker")
    record = render_event(decode(DETECTION, SAMPLE), sent, event_id=EVENT_ID, fabric="main", key_by="agent_guid")
    refused = render_refused(
        record, reason=Reason.REFUSED_TOO_LARGE, detail="the topic takes 100 bytes", keep_bytes=keep_bytes
    )
    return record, refused


def test_a_dead_letter_is_the_raw_payload_with_the_reason_and_where_it_came_from() -> None:
    sent = message(b"\xff\0junk\0", topic="/x", source_client_id="client")
    assert render_dead_letter(sent, event_id=EVENT_ID, reason=Reason.NOT_UTF8, detail="at byte 0") == Record(
        "dead_letter",
        EVENT_ID,
        None,
        b"\xff\0junk\0",
        (
            ("reason", b"not_utf8"),
            ("detail", b"at byte 0"),
            ("dxl_topic", b"/x"),
            ("ce_id", EVENT_ID.encode()),
            ("dxl_client", b"client"),
            ("received_at", b"2023-11-14T22:13:20.123Z"),
            ("forwarder_version", __version__.encode()),
        ),
        1_700_000_000_123,
    )


def test_an_unknown_client_is_left_out() -> None:
    letter = render_dead_letter(message(), event_id=EVENT_ID, reason=Reason.NOT_JSON, detail="x")
    assert "dxl_client" not in dict(letter.headers)


@given(st.binary(), st.text(), st.text(), st.text(max_size=2000), st.integers())
def test_no_message_keeps_a_dead_letter_from_being_made(
    payload: bytes, topic: str, client: str, detail: str, received: int
) -> None:
    sent = message(payload, topic=topic, source_client_id=client, received_at_ms=received)
    letter = render_dead_letter(sent, event_id=EVENT_ID, reason=Reason.NOT_JSON, detail=detail)
    assert letter.value == payload
    for _, value in letter.headers:
        assert value.decode().isprintable()
        assert 0 < len(value.decode()) <= 256


def test_a_refused_record_is_cut_and_keeps_its_size_digest_and_origin() -> None:
    record, refused = _refused_event(keep_bytes=100)
    assert refused.destination == "dead_letter"
    assert refused.event_id == EVENT_ID
    assert refused.key is None
    assert refused.value == record.value[:100]
    assert refused.received_at_ms == record.received_at_ms
    assert dict(refused.headers) == {
        "reason": b"refused_too_large",
        "detail": b"the topic takes 100 bytes",
        "dxl_topic": DETECTION.topic.encode(),
        "ce_id": EVENT_ID.encode(),
        "dxl_client": b"client",
        "received_at": b"2023-11-14T22:13:20.123Z",
        "forwarder_version": __version__.encode(),
        "original_size": str(len(record.value)).encode(),
        "sha256": hashlib.sha256(record.value).hexdigest().encode(),
    }


def test_a_refused_record_that_fits_keeps_its_whole_value() -> None:
    record, refused = _refused_event(keep_bytes=1_000_000)
    assert refused.value == record.value


def test_a_value_cut_to_nothing_is_empty() -> None:
    assert _refused_event(keep_bytes=0)[1].value == b""
    assert _refused_event(keep_bytes=-5)[1].value == b""


def test_a_dead_letter_that_is_refused_keeps_its_first_reason_size_and_digest() -> None:
    letter = render_dead_letter(
        message(b"x" * 1000, source_client_id="client"),
        event_id=EVENT_ID,
        reason=Reason.NOT_JSON,
        detail="expected value",
    )
    once = render_refused(letter, reason=Reason.REFUSED_TOO_LARGE, detail="too large", keep_bytes=500)
    twice = dict(render_refused(once, reason=Reason.REFUSED_INVALID, detail="invalid", keep_bytes=100).headers)
    assert twice["reason"] == b"refused_invalid"
    assert twice["detail"] == b"invalid; first: refused_too_large: too large; first: not_json: expected value"
    assert twice["dxl_topic"] == DETECTION.topic.encode()
    assert twice["dxl_client"] == b"client"
    assert twice["original_size"] == b"1000"
    assert twice["sha256"] == hashlib.sha256(b"x" * 1000).hexdigest().encode()
