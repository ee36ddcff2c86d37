"""The formats that a forwarder writes (`kafka.format`), told apart by what stands in the record.

`json` and `raw` hold the event in the value, `cloudevents` inside of a CloudEvent in structured mode. `ecs` and `ocsf`
are the documents of other standards, for which this package has no models.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from tie_forwarder.consumer.errors import InvalidRecordError, OtherFormatError
from tie_forwarder.consumer.record import RawRecord
from tie_forwarder.events.decoding import decode
from tie_forwarder.events.event import Kind
from tie_forwarder.events.reasons import InvalidEventError

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
