"""From a record to its event: the headers say what it is, the value holds it."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from pydantic import ValidationError

from tie_forwarder.consumer.dead_letter import ReplayMarker, read_letter
from tie_forwarder.consumer.envelope import Envelope
from tie_forwarder.consumer.errors import DeadLetterError, ForeignRecordError, InvalidRecordError, ReplayMarkerError
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


def parse(record: Any) -> Parsed:
    """The event in a record of any Kafka client, and its envelope.

    `record` has topic, key, value and headers, as attributes or as methods; key and value are bytes. Raises a
    `NoEventError` for a record without an event, and `TypeError` for what is no record as the client received it.
    """
    raw = read_record(record)
    letter = read_letter(raw)
    if isinstance(letter, ReplayMarker):
        raise ReplayMarkerError(raw.place, letter)
    if letter is not None:
        raise DeadLetterError(raw.place, letter)
    kind = _kind(raw)
    if raw.value is None:
        raise InvalidRecordError(raw.place, "it has no value")
    schema_id, value = split_registry_prefix(raw.value)
    envelope = _envelope(raw, kind, schema_id)
    try:
        event = kind.adapter.validate_json(value)
    except ValidationError as error:
        raise InvalidRecordError(raw.place, f"its value is no {kind.name}: {_first_complaint(error)}") from None
    return Parsed(event, envelope)


def _kind(raw: RawRecord) -> Kind:
    ce_type = raw.text("ce_type")
    if ce_type is None:
        raise ForeignRecordError(raw.place, "it has no header ce_type, which every event of a forwarder has")
    kind = _KINDS_BY_TYPE.get(ce_type)
    if kind is None:
        raise ForeignRecordError(raw.place, f"its ce_type {ce_type[:100]!r} is none of {', '.join(_KINDS_BY_TYPE)}")
    return kind


def _envelope(raw: RawRecord, kind: Kind, schema_id: int | None) -> Envelope:
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
        format="json",
        schema_id=schema_id,
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        timestamp_ms=raw.timestamp_ms,
        key=None if raw.key is None else raw.key.decode("utf-8", "replace"),
    )


def _first_complaint(error: ValidationError) -> str:
    complaint = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, complaint["loc"]))
    return f"{place}: {complaint['msg']}" if place else complaint["msg"]
