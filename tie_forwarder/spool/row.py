"""A record as a row of the spool, and back: the byte layout and its checksum.

Layout version 1. Headers are one blob: all names, then all values, each but the last followed by a NUL. A NUL inside a
name or a value cannot be told from a separator and becomes U+FFFD; records never carry one, because rendering cleans
control characters. The checksum covers the position too: a row that damage has moved is a damaged row.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TypeAlias
from zlib import crc32

from tie_forwarder.records.record import Record, Row

COLUMNS = "position, destination, event_id, key, value, headers, received_at_ms, detected_at, crc"

RawRow: TypeAlias = "tuple[int, bytes | str, bytes, bytes | None, bytes, bytes, int, int | None, int]"
"""A row as it is bound (the destination as text) and as it is read (the destination as bytes)."""

_FIXED = struct.Struct(">qqqII")
_NO_TIME = -(2**63)
_OVERHEAD_BYTES = 160


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
    destination, event_id, key, value, pairs, received_at_ms = record
    packed_id = pack_id(event_id)
    headers = _pack_headers(pairs) if pairs else b""
    crc = _crc(position, destination.encode(), packed_id, key, value, headers, received_at_ms, detected_at)
    return position, destination, packed_id, key, value, headers, received_at_ms, detected_at, crc


def unpack(raw: RawRow) -> Row:
    """The record of a row. Raises CorruptRow where the checksum does not fit or the types are not those of a row."""
    position, destination, event_id, key, value, headers, received_at_ms, detected_at, crc = raw
    try:
        assert isinstance(destination, bytes)
        if crc != _crc(position, destination, event_id, key, value, headers, received_at_ms, detected_at):
            raise CorruptRow(f"the checksum of the spool's row at position {position} does not fit its content")
        pairs = _unpack_headers(headers) if headers else ()
        record = Record(destination_text(destination), unpack_id(event_id), key, value, pairs, received_at_ms)
    except (TypeError, AttributeError, AssertionError, ValueError, OverflowError, struct.error) as error:
        raise CorruptRow(f"the spool's row at position {position} is not a row: {error}") from error
    return Row(position, record, detected_at)


def row_bytes(raw: RawRow) -> int:
    """About what a row takes of the file, its share of the indexes included."""
    return len(raw[4]) + len(raw[5]) + (len(raw[3]) if raw[3] else 0) + _OVERHEAD_BYTES


@lru_cache(maxsize=64)
def destination_text(destination: bytes) -> str:
    """The destination as text; never raises, for damage may have made it anything."""
    return destination.decode(errors="backslashreplace")


def _pack_headers(pairs: tuple[tuple[str, bytes], ...]) -> bytes:
    names, values = zip(*pairs, strict=True)
    headers = b"\0".join((_joined_names(names), *values))
    if headers.count(0) != 2 * len(pairs) - 1:
        encoded = [name.encode() for name in names]
        headers = b"\0".join(part.replace(b"\0", b"\xef\xbf\xbd") for part in (*encoded, *values))
    return headers


def _unpack_headers(headers: bytes) -> tuple[tuple[str, bytes], ...]:
    parts = headers.split(b"\0")
    count = len(parts) // 2
    return tuple(zip(_separate_names(tuple(parts[:count])), parts[count:], strict=True))


@lru_cache(maxsize=256)
def _joined_names(names: tuple[str, ...]) -> bytes:
    return b"\0".join(name.encode() for name in names)


@lru_cache(maxsize=256)
def _separate_names(names: tuple[bytes, ...]) -> tuple[str, ...]:
    return tuple(name.decode() for name in names)


def _crc(
    position: int,
    destination: bytes,
    event_id: bytes,
    key: bytes | None,
    value: bytes,
    headers: bytes,
    received_at_ms: int,
    detected_at: int | None,
) -> int:
    time = _NO_TIME if detected_at is None else detected_at
    fixed = _FIXED.pack(position, received_at_ms, time, len(headers), len(value))
    return crc32(value, crc32(b"".join((fixed, destination, event_id, b"\0" if key is None else b"\1" + key, headers))))
