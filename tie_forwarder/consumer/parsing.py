"""From a record to its typed event: headers and value say what it is, and the value holds it."""

from __future__ import annotations

from base64 import b64decode
from typing import Any, NamedTuple, TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from tie_forwarder.consumer.envelope import DeadLetter, Envelope, ReplayMarker
from tie_forwarder.consumer.record import (
    DeadLetterError,
    ForeignRecordError,
    InvalidRecordError,
    OtherFormatError,
    RawRecord,
    ReplayMarkerError,
    read_record,
)
from tie_forwarder.events.decoding import decode
from tie_forwarder.events.detection import Detection
from tie_forwarder.events.event import Kind
from tie_forwarder.events.first_instance import FirstInstance
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.events.reasons import InvalidEventError
from tie_forwarder.events.reputation_change import CertificateReputationChange, FileReputationChange
from tie_forwarder.records.dead_letter import REPLAYED_AT, REPLAYED_TIME, REPLAYED_TO
from tie_forwarder.records.wire_format import split_registry_prefix

_STRUCTURED = "application/cloudevents+json"


class Unfolded(NamedTuple):
    """A record as in CloudEvents' binary mode, whatever it was written in: attributes are headers, data is value."""

    raw: RawRecord
    value: bytes
    structured: bool


def unfold(raw: RawRecord, value: bytes) -> Unfolded:
    """Takes the event out of a CloudEvent in structured mode. Raises `InvalidRecordError`."""
    content_type = raw.text("content-type") or ""
    if not content_type.lower().startswith(_STRUCTURED):
        return Unfolded(raw, value, structured=False)
    envelope = read_document(raw, value)
    # A header of the same name was added by the member that published it.
    attributes = {f"ce_{name}": text.encode() for name, text in envelope.items() if isinstance(text, str)}
    return Unfolded(raw._replace(headers={**attributes, **raw.headers}), _data(raw, envelope), structured=True)


def read_document(raw: RawRecord, value: bytes) -> dict[str, Any]:
    """The JSON object that a value is. Raises `InvalidRecordError`."""
    try:
        document = from_json(value)
    except ValueError as error:
        raise InvalidRecordError(raw.place, f"its value is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidRecordError(raw.place, "its value is JSON, but no object")
    return document


def read_event(kind: Kind, unfolded: Unfolded) -> tuple[Any, str]:
    """The model of the event, and the format that it had. Raises `OtherFormatError` and `InvalidRecordError`."""
    place = unfolded.raw.place
    try:
        model: BaseModel = kind.adapter.validate_json(unfolded.value)
    except ValidationError as error:
        _refuse_other_formats(place, _members(unfolded.value))
        if not unfolded.structured:
            try:
                return decode(kind, unfolded.value).model, "raw"
            except InvalidEventError:
                pass  # then it is what it was first taken for, and the fault is there
        raise InvalidRecordError(place, f"its value is no {kind.name}: {_first_complaint(error)}") from None
    _refuse_other_formats(place, model.model_extra or {})
    return model, "cloudevents" if unfolded.structured else "json"


def other_format(members: dict[str, Any]) -> str | None:
    """`ecs` or `ocsf` where the members are those of such a document."""
    if isinstance(members.get("class_uid"), int) and "metadata" in members:
        return "ocsf"
    if isinstance(members.get("ecs"), dict) and "@timestamp" in members:
        return "ecs"
    return None


def _refuse_other_formats(place: str, members: dict[str, Any]) -> None:
    name = other_format(members)
    if name is not None:
        raise OtherFormatError(place, name)


def _members(value: bytes) -> dict[str, Any]:
    try:
        document = from_json(value)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _data(raw: RawRecord, envelope: dict[str, Any]) -> bytes:
    if "data" in envelope:
        return to_json(envelope["data"])
    try:
        return b64decode(envelope["data_base64"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise InvalidRecordError(raw.place, "it is a CloudEvent without data") from None


def _first_complaint(error: ValidationError) -> str:
    complaint = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, complaint["loc"]))
    return f"{place}: {complaint['msg']}" if place else complaint["msg"]


def parse_dead_letter(record: Any) -> DeadLetter:
    """The dead letter in a record of any Kafka client.

    Raises `ReplayMarkerError` for the marker of one that was replayed, and `ForeignRecordError` for anything else.
    """
    raw = read_record(record)
    found = read_letter(raw)
    if isinstance(found, ReplayMarker):
        raise ReplayMarkerError(raw.place, found)
    if found is None:
        raise ForeignRecordError(raw.place, "it has not the headers of a dead letter, reason and forwarder_version")
    return found


def read_letter(raw: RawRecord) -> DeadLetter | ReplayMarker | None:
    """What stands among the dead letters; None where the headers are not those of any. Raises `InvalidRecordError`."""
    if "forwarder_version" not in raw.headers:
        return None
    if REPLAYED_AT in raw.headers:
        return _read_marker(raw)
    return _read_dead_letter(raw) if "reason" in raw.headers else None


def _read_marker(raw: RawRecord) -> ReplayMarker:
    return ReplayMarker(raw.text("ce_id"), raw.time(REPLAYED_AT), raw.text(REPLAYED_TO) or "")


def _read_dead_letter(raw: RawRecord) -> DeadLetter:
    size = raw.text("original_size") or ""
    return DeadLetter(
        event_id=raw.text("ce_id"),
        reason=raw.text("reason") or "",
        detail=raw.text("detail") or "",
        payload=raw.value or b"",
        dxl_topic=raw.text("dxl_topic"),
        dxl_client=raw.text("dxl_client"),
        received_at=raw.time("received_at"),
        forwarder=raw.text("ce_forwarder"),
        forwarder_version=raw.text("forwarder_version"),
        original_size=int(size) if size.isdecimal() else None,
        sha256=raw.text("sha256"),
    )


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
