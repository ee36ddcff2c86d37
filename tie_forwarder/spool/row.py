"""A record as a row of the spool, and back: the byte layout and its checksum.

Layout version 1. Headers are one blob: name, NUL, value, NUL, name, ... A NUL inside a name or a value cannot be told
from a separator and becomes U+FFFD; records never carry one, because rendering cleans control characters.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import NamedTuple, TypeAlias
from zlib import crc32

from tie_forwarder.records.record import Record

COLUMNS = "position, destination, event_id, key, value, headers, received_at_ms, detected_at, crc"

RawRow: TypeAlias = "tuple[int, str, bytes, bytes | None, bytes, bytes, int, int | None, int]"

_TIMES = Struct(">qq")
_NO_TIME = -(2**63)


class Row(NamedTuple):
    """A record at its position in the spool."""

    position: int
    record: Record
    detected_at: int | None
    """The endpoint's detection time in seconds since the epoch, where the event tells it."""


class CorruptRow(Exception):  # noqa: N818 - a state of the file, named as the metric names it
    """The row's checksum does not fit its content."""


def pack_id(event_id: str) -> bytes:
    """The 16 bytes of a canonical UUID."""
    return bytes.fromhex(event_id.replace("-", ""))


def unpack_id(packed: bytes) -> str:
    """The canonical lower-case UUID of 16 bytes."""
    text = packed.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def pack(position: int, record: Record, detected_at: int | None) -> RawRow:
    """The row of `record` at `position`. Raises nothing for a well-formed record."""
    event_id = pack_id(record.event_id)
    parts: list[bytes] = []
    for name, value in record.headers:
        parts.append(_name_bytes(name))
        parts.append(value)
    headers = b"\0".join(parts)
    if parts and headers.count(0) != len(parts) - 1:
        headers = b"\0".join(part.replace(b"\0", b"\xef\xbf\xbd") for part in parts)
    crc = _crc(record.destination, event_id, record.key, record.value, headers, record.received_at_ms, detected_at)
    return (
        position, record.destination, event_id, record.key, record.value, headers, record.received_at_ms, detected_at,
        crc,
    )  # fmt: skip


def unpack(raw: RawRow) -> Row:
    """The record of a row. Raises CorruptRow where the checksum does not fit or the types are not those of a row."""
    position, destination, event_id, key, value, headers, received_at_ms, detected_at, crc = raw
    try:
        if crc != _crc(destination, event_id, key, value, headers, received_at_ms, detected_at):
            raise CorruptRow(f"the checksum of the spool's row at position {position} does not fit its content")
        parts = headers.split(b"\0") if headers else []
        pairs = tuple((_name_text(parts[index]), parts[index + 1]) for index in range(0, len(parts), 2))
        record = Record(destination, unpack_id(event_id), key, value, pairs, received_at_ms)
    except (TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        raise CorruptRow(f"the spool's row at position {position} is not a row: {error}") from error
    return Row(position, record, detected_at)


def _crc(
    destination: str,
    event_id: bytes,
    key: bytes | None,
    value: bytes,
    headers: bytes,
    received_at_ms: int,
    detected_at: int | None,
) -> int:
    times = _TIMES.pack(received_at_ms, _NO_TIME if detected_at is None else detected_at)
    return crc32(
        b"\0".join((destination.encode(), event_id, b"\0" if key is None else b"\1" + key, headers, times, value))
    )


@lru_cache(maxsize=256)
def _name_bytes(name: str) -> bytes:
    return name.encode()


@lru_cache(maxsize=256)
def _name_text(name: bytes) -> str:
    return name.decode()
