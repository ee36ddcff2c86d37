"""A Kafka record as any client hands it over, and the errors for records that hold no event.

No error quotes the record's value.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tie_forwarder.consumer.envelope import DeadLetter, ReplayMarker


class NoEventError(Exception):
    """The record holds no event that `parse` could give."""

    def __init__(self, place: str, why: str) -> None:
        self.place = place
        """Topic, partition and offset, as far as they are known: `tie.file.detections[2]@4711`."""
        self.why = why
        super().__init__(f"{place}: {why}")


class ForeignRecordError(NoEventError):
    """No forwarder wrote it, or one that is newer than this package."""


class InvalidRecordError(NoEventError):
    """It has the headers of an event, and its headers or its value are not what they say."""


class OtherFormatError(NoEventError):
    """Its value is a document of another standard, for which there is no model; `parse_document` gives it."""

    def __init__(self, place: str, format_name: str) -> None:
        self.format = format_name
        super().__init__(place, f"its value is of the format {format_name}: read it with parse_document")


class DeadLetterError(NoEventError):
    """It is a dead letter: what the fabric carried was no valid event, or Kafka refused its record."""

    def __init__(self, place: str, dead_letter: DeadLetter) -> None:
        self.dead_letter = dead_letter
        super().__init__(place, f"it is a dead letter ({dead_letter.reason}: {dead_letter.detail})")


class ReplayMarkerError(NoEventError):
    """It stands among the dead letters and says of one that its event was replayed; the event stands in its topic."""

    def __init__(self, place: str, marker: ReplayMarker) -> None:
        self.marker = marker
        super().__init__(place, f"it marks a dead letter as replayed: the event stands in {marker.replayed_to}")


_MISSING = object()


class RawRecord(NamedTuple):
    """The record, the same for every client."""

    topic: str
    partition: int | None
    offset: int | None
    timestamp_ms: int | None
    """In milliseconds since the epoch."""
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]
    """Of a name that occurs twice the last one; those without a value are left out."""

    @property
    def place(self) -> str:
        """Where it stands, for a person."""
        partition = "" if self.partition is None else f"[{self.partition}]"
        return f"{self.topic}{partition}" + ("" if self.offset is None else f"@{self.offset}")

    def text(self, header: str) -> str | None:
        """A header as text; None where there is none."""
        value = self.headers.get(header)
        return None if value is None else value.decode("utf-8", "replace")

    def time(self, header: str) -> datetime | None:
        """A header with a time in RFC 3339; None where there is none. Raises `InvalidRecordError`."""
        text = self.text(header)
        if text is None:
            return None
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidRecordError(self.place, f"its header {header} is no time in RFC 3339") from None
        if time.tzinfo is None:
            raise InvalidRecordError(self.place, f"its header {header} has no time zone")
        return time


def read_record(record: Any) -> RawRecord:
    """What the client's record holds. Raises `TypeError` for what is no record, or one that was deserialised.

    Raises `ForeignRecordError` for confluent-kafka's records that stand for an error of the client.
    """
    topic, key, value, headers = (_ask(record, name) for name in ("topic", "key", "value", "headers"))
    if _MISSING in (topic, key, value, headers):
        raise TypeError(f"a Kafka record with topic, key, value and headers is expected, not {type(record).__name__}")
    raw = RawRecord(
        str(topic),
        _integer(_ask(record, "partition")),
        _integer(_ask(record, "offset")),
        _milliseconds(_ask(record, "timestamp")),
        _bytes(key, "key"),
        _bytes(value, "value"),
        {str(name): bytes(content) for name, content in headers or () if content is not None},
    )
    error = _ask(record, "error")
    if error is not _MISSING and error is not None:
        raise ForeignRecordError(raw.place, f"it is no record but an error of the client: {error}")
    return raw


def _ask(record: Any, name: str) -> Any:
    found = getattr(record, name, _MISSING)
    return found() if callable(found) else found


def _integer(number: Any) -> int | None:
    return number if isinstance(number, int) and number >= 0 else None


def _milliseconds(timestamp: Any) -> int | None:
    """confluent-kafka has a pair of the timestamp's type and the time."""
    return _integer(timestamp[1] if isinstance(timestamp, tuple) else timestamp)


def _bytes(content: Any, what: str) -> bytes | None:
    if content is None or isinstance(content, bytes):
        return content
    if isinstance(content, bytearray | memoryview):
        return bytes(content)
    raise TypeError(
        f"the record's {what} is a {type(content).__name__}, where bytes are expected: leave {what}_deserializer out"
    )
