"""From a record to its event: headers and value say what it is, and the value holds it."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from tie_forwarder.consumer.dead_letter import ReplayMarker, read_letter
from tie_forwarder.consumer.envelope import Envelope
from tie_forwarder.consumer.errors import (
    DeadLetterError,
    ForeignRecordError,
    InvalidRecordError,
    OtherFormatError,
    ReplayMarkerError,
)
from tie_forwarder.consumer.formats import Unfolded, read_document, read_event, unfold
from tie_forwarder.consumer.record import RawRecord, read_record
from tie_forwarder.events.certificate_reputation_change import CertificateReputationChange
from tie_forwarder.events.detection import Detection
from tie_forwarder.events.event import Kind
from tie_forwarder.events.file_reputation_change import FileReputationChange
from tie_forwarder.events.first_instance import FirstInstance
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.records.replayed import REPLAYED_TIME
from tie_forwarder.records.wire_format import split_registry_prefix

TieEvent: TypeAlias = Detection | FirstInstance | FileReputationChange | CertificateReputationChange
"""The model of an event, one for each kind. Fields that are newer than this package are in its `model_extra`."""

_KINDS_BY_TYPE = {kind.ce_type: kind for kind in KINDS.values()}


class Parsed(NamedTuple):
    """What a record holds."""

    event: TieEvent
    envelope: Envelope


class ParsedDocument(NamedTuple):
    """What a record holds, as it stands there."""

    document: dict[str, Any]
    envelope: Envelope


def parse(record: Any) -> Parsed:
    """The event in a record of any Kafka client, and its envelope.

    `record` has topic, key, value and headers, as attributes or as methods; key and value are bytes. Raises a
    `NoEventError` for a record without an event, and `TypeError` for what is no record as the client received it.
    """
    opened = _open(record)
    event, format_name = read_event(opened.kind, opened.unfolded)
    return Parsed(event, _envelope(opened, format_name))


def parse_document(record: Any) -> ParsedDocument:
    """The JSON object that the value of an event's record is, of any format, and its envelope.

    It is for the formats without models (`ecs`, `ocsf`) and takes the bytes of a schema registry off. Raises as `parse`
    does, but for `OtherFormatError`.
    """
    opened = _open(record)
    document = read_document(opened.unfolded.raw, opened.value)
    try:
        _, format_name = read_event(opened.kind, opened.unfolded)
    except OtherFormatError as other:
        format_name = other.format
    return ParsedDocument(document, _envelope(opened, format_name))


class _Opened(NamedTuple):
    """A record that says that it has an event."""

    kind: Kind
    unfolded: Unfolded
    value: bytes
    schema_id: int | None


def _open(record: Any) -> _Opened:
    raw = read_record(record)
    letter = read_letter(raw)
    if isinstance(letter, ReplayMarker):
        raise ReplayMarkerError(raw.place, letter)
    if letter is not None:
        raise DeadLetterError(raw.place, letter)
    schema_id, value = split_registry_prefix(raw.value or b"")
    unfolded = unfold(raw, value)
    kind = _kind(unfolded.raw)
    if raw.value is None:
        raise InvalidRecordError(raw.place, "it has no value")
    return _Opened(kind, unfolded, value, schema_id)


def _kind(raw: RawRecord) -> Kind:
    ce_type = raw.text("ce_type")
    if ce_type is None:
        raise ForeignRecordError(raw.place, "it has no header ce_type, which every event of a forwarder has")
    kind = _KINDS_BY_TYPE.get(ce_type)
    if kind is None:
        raise ForeignRecordError(raw.place, f"its ce_type {ce_type[:100]!r} is none of {', '.join(_KINDS_BY_TYPE)}")
    return kind


def _envelope(opened: _Opened, format_name: str) -> Envelope:
    raw, kind = opened.unfolded.raw, opened.kind
    event_id, source = raw.text("ce_id"), raw.text("ce_source")
    if event_id is None or source is None:
        missing = "ce_id" if event_id is None else "ce_source"
        raise InvalidRecordError(raw.place, f"it has no header {missing}")
    return Envelope(
        event_id=event_id,
        kind=kind.name,
        type=kind.ce_type,
        source=source,
        subject=raw.text("ce_subject"),
        occurred_at=raw.time("ce_time"),
        received_at=raw.time("ce_receivedtime"),
        dxl_topic=raw.text("ce_dxltopic"),
        dxl_client=raw.text("ce_dxlclient"),
        dxl_broker=raw.text("ce_dxlbroker"),
        replayed_at=raw.time(REPLAYED_TIME),
        forwarder=raw.text("ce_forwarder"),
        format=format_name,
        schema_id=opened.schema_id,
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        timestamp_ms=raw.timestamp_ms,
        key=None if raw.key is None else raw.key.decode("utf-8", "replace"),
    )
