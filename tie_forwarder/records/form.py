"""In which format a record was rendered, seen from the record: it may have waited in the spool while that was changed.

Loads nothing of the formats, which need more than the publisher has; a test holds it against them.
"""

from __future__ import annotations

from tie_forwarder.records.record import Record

_BY_CONTENT_TYPE = {b"application/cloudevents+json": "cloudevents", b"application/octet-stream": "raw"}
_BY_BEGINNING = {b'{"@timestamp":': "ecs", b'{"category_uid":': "ocsf"}


def form_of(record: Record) -> str:
    """The name of the format of an event's record."""
    form = _BY_CONTENT_TYPE.get(dict(record.headers).get("content-type", b""))
    if form is not None:
        return form
    return next((name for start, name in _BY_BEGINNING.items() if record.value.startswith(start)), "json")
