"""What a replay writes: the record of an event that had been a dead letter, and the marker beside the letter.

Both go into Kafka in one transaction. Neither has the header `ce_forwarder`: no member of the group has published
them, and so no member takes them for a sign of life, nor for the record of an event that it waits for.
"""

from __future__ import annotations

from tie_forwarder import __version__
from tie_forwarder.records.dead_letter import DESTINATION
from tie_forwarder.records.record import Record
from tie_forwarder.records.text import rfc3339_milliseconds

REPLAYED_TIME = "ce_replayedtime"
"""The header that only the record of a replayed event has."""

REPLAYED_AT = "replayed_at"
REPLAYED_TO = "replayed_to"
"""Headers that only a marker has."""

_VERSION = __version__.encode()


def render_replayed(record: Record, *, replayed_at_ms: int) -> Record:
    """The record of an event as it is replayed now; the time of receipt stays in its headers.

    Its timestamp is the time of the replay: retention counts from the timestamp, and the time of receipt may be so long
    ago that Kafka would delete the record before anybody has read it.
    """
    headers = (*record.headers, (REPLAYED_TIME, rfc3339_milliseconds(replayed_at_ms) or b""))
    return record._replace(headers=headers, received_at_ms=replayed_at_ms)


def render_marker(event_id: str, *, topic: str, replayed_at_ms: int) -> Record:
    """The marker that says of a dead letter that its event stands in `topic`. It has no `reason`, and no value."""
    headers = (
        ("ce_id", event_id.encode()),
        (REPLAYED_AT, rfc3339_milliseconds(replayed_at_ms) or b""),
        (REPLAYED_TO, topic.encode()),
        ("forwarder_version", _VERSION),
    )
    return Record(DESTINATION, event_id, None, b"", headers, replayed_at_ms)
