"""From the payload of a DXL message to a validated event."""

from __future__ import annotations

from pydantic import ValidationError

from tie_forwarder.events.document import parse
from tie_forwarder.events.event import Event, Kind
from tie_forwarder.events.reasons import InvalidEventError, Reason


def decode(kind: Kind, payload: bytes) -> Event:
    """The event of this kind that the payload holds. Pure, safe on any thread.

    Raises `InvalidEventError` for a payload that is none. Never delivers what differs from what was published, except
    that strings of digits in integer fields become integers.
    """
    fields = parse(payload)
    unknown = kind.from_wire(fields)
    try:
        model = kind.adapter.validator.validate_python(fields)
    except ValidationError as error:
        raise InvalidEventError(Reason.BAD_FIELD, _first_complaint(error)) from None
    return Event(kind, fields, model, unknown + len(model.model_extra))


def _first_complaint(error: ValidationError) -> str:
    complaint = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, complaint['loc']))}: {complaint['msg']}"
