"""What a record's bytes reveal: a schema registry's prefix, and the format of the value.

A registry's prefix is a zero byte and the schema's id. No format begins with a zero byte.
"""

from __future__ import annotations

from tie_forwarder.records.record import Record

_MAGIC = b"\0"
_BYTES = 5


def registry_prefix(schema_id: int) -> bytes:
    """The five bytes of a schema's id."""
    return _MAGIC + schema_id.to_bytes(_BYTES - 1, "big")


def split_registry_prefix(value: bytes) -> tuple[int | None, bytes]:
    """The id of the schema, None where the value begins with none, and the value without it."""
    if not value.startswith(_MAGIC) or len(value) < _BYTES:
        return None, value
    return int.from_bytes(value[1:_BYTES], "big"), value[_BYTES:]


_BY_CONTENT_TYPE = {b"application/cloudevents+json": "cloudevents", b"application/octet-stream": "raw"}
_BY_BEGINNING = {b'{"@timestamp":': "ecs", b'{"category_uid":': "ocsf"}


def form_of(record: Record) -> str:
    """The name of the format of an event's record."""
    form = _BY_CONTENT_TYPE.get(dict(record.headers).get("content-type", b""))
    if form is not None:
        return form
    return next((name for start, name in _BY_BEGINNING.items() if record.value.startswith(start)), "json")
