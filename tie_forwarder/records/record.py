"""A Kafka record as the spool holds it, its row, and text that is safe in a header."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple


class Record(NamedTuple):
    """One record. Its topic is looked up by `destination` when it is published, its partition is made from `key`."""

    destination: str
    """A key of `kafka.topics`: an event kind (as `detection`) or `dead_letter`."""
    event_id: str
    """UUID in lower case without braces; unique in the spool."""
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    received_at_ms: int
    """Time of receipt in milliseconds since the epoch; becomes the record's timestamp."""


class Row(NamedTuple):
    """A record at its position in the spool."""

    position: int
    record: Record
    detected_at: int | None
    """When the event occurred, by the endpoint or server, in seconds since the epoch, where the event tells it."""


MAX_CHARACTERS = 256

_YEAR_10000 = 253_402_300_800


def clean(text: str) -> bytes:
    """UTF-8 of `shortened`. Never raises."""
    return shortened(text).encode()


def shortened(text: str) -> str:
    """At most `MAX_CHARACTERS` characters; each that is not printable becomes U+FFFD. Never raises."""
    text = text[:MAX_CHARACTERS]
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def agent_id(text: str | None) -> str:
    """The id of an endpoint in lower case and without braces; of one out of all proportion only the start."""
    return (text or "")[:MAX_CHARACTERS].strip("{}").lower()


@lru_cache(maxsize=4096)
def rfc3339(seconds: int) -> bytes | None:
    """This second since the epoch in UTC, or None where it is before 1970 or after 9999."""
    if not 0 <= seconds < _YEAR_10000:
        return None
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def rfc3339_milliseconds(milliseconds: int) -> bytes | None:
    """The same with milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    text = rfc3339(seconds)
    return None if text is None else b"%b.%03dZ" % (text[:-1], rest)
