"""From the payload of a DXL message to a validated event: strict JSON first, then the kind's model."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from tie_forwarder.events.event import Event, Kind
from tie_forwarder.events.reasons import InvalidEventError, Reason

MAX_BYTES = 1024 * 1024
"""The message limit of a DXL fabric."""

MAX_DEPTH = 64
"""Levels of objects and lists, the document itself included. TIE's own events have at most six."""


def parse(payload: bytes) -> dict[str, Any]:
    """The object that the payload holds, trailing NUL bytes ignored. Raises `InvalidEventError`, and nothing else."""
    if len(payload) > MAX_BYTES:
        raise InvalidEventError(Reason.TOO_LARGE, f"{len(payload)} bytes; at most {MAX_BYTES} are accepted")
    try:
        text = payload.rstrip(b"\0").decode()
    except UnicodeDecodeError as error:
        raise InvalidEventError(Reason.NOT_UTF8, f"{error.reason} at byte {error.start}") from None
    try:
        document = from_json(text)
    except ValueError as error:
        reason = Reason.TOO_DEEP if "recursion limit" in str(error) else Reason.NOT_JSON
        raise InvalidEventError(reason, str(error)) from None
    if type(document) is not dict:
        raise InvalidEventError(Reason.NOT_AN_OBJECT, f"the payload is a {_json_type(document)}")
    # Each member of an object has one colon outside of strings, so no more colons than keys proves that no key was
    # overwritten; the second, slower reading is only for texts that have a colon in a string, and for duplicates.
    if _count_keys(document, 1) != text.count(":"):
        json.loads(text, object_pairs_hook=_unique)
    return document


def _count_keys(container: Any, depth: int) -> int:
    """All keys at all levels. The reader's own recursion limit (200) bounds the recursion here."""
    if depth > MAX_DEPTH:
        raise InvalidEventError(Reason.TOO_DEEP, f"more than {MAX_DEPTH} levels")
    if type(container) is dict:
        count = len(container)
        container = container.values()
    else:
        count = 0
    for value in container:
        kind = type(value)
        if kind is dict or kind is list:
            count += _count_keys(value, depth + 1)
        elif kind is float and not isfinite(value):
            raise InvalidEventError(Reason.NAN, "NaN, Infinity or a number beyond the range of a double")
    return count


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise InvalidEventError(Reason.DUPLICATE_KEY, "an object has the same key twice")


def _json_type(value: Any) -> str:
    return {list: "list", str: "string", bool: "boolean", type(None): "null"}.get(type(value), "number")


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
