"""The frames that a child writes to its parent: a length, a kind, a body.

Wire form: 4 bytes length of the body (big endian), 1 byte kind, the body. A body is UTF-8 JSON; for SEEN packed event
ids of 16 bytes each; for MESSAGES a batch of DXL messages: per message 4 bytes payload length, 2 bytes each for the
lengths of id, topic, client and broker, 8 bytes time of receipt in milliseconds, then the five byte strings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from enum import IntEnum
from struct import Struct
from struct import error as StructError  # noqa: N812 - the struct module calls it so
from typing import Any

from tie_forwarder.events.message import Message

MOST_BYTES = 96 * 1024 * 1024
"""A body is never longer: well above all that the receiver's queue can hold."""

_HEAD = Struct(">IB")
_MESSAGE = Struct(">IHHHHq")
_LONGEST_TEXT = 65_535


class Kind(IntEnum):
    """What a frame carries."""

    STATUS = 1
    MESSAGES = 2
    REPORT = 3
    SEEN = 4


class BrokenFrame(Exception):  # noqa: N818 - a state of the pipe
    """The bytes on the pipe are not frames: its writer must be replaced."""


def encode(kind: Kind, body: bytes) -> bytes:
    """One frame."""
    return _HEAD.pack(len(body), kind) + body


def encode_json(kind: Kind, body: Any) -> bytes:
    """One frame with a JSON body."""
    return encode(kind, json.dumps(body, separators=(",", ":")).encode())


def encode_messages(messages: Iterable[Message]) -> bytes:
    """One frame with a batch of messages. Texts longer than 65,535 bytes are cut."""
    pieces: list[bytes] = [b""]
    size = 0
    for message in messages:
        texts = [_text(part) for part in message[:4]]
        payload = message.payload
        pieces.append(_MESSAGE.pack(len(payload), *map(len, texts), message.received_at_ms))
        pieces += texts
        pieces.append(payload)
        size += _MESSAGE.size + sum(map(len, texts)) + len(payload)
    pieces[0] = _HEAD.pack(size, Kind.MESSAGES)
    return b"".join(pieces)


def decode_messages(body: bytes) -> list[Message]:
    """The messages of a frame's body. Raises BrokenFrame where the lengths do not fit."""
    messages: list[Message] = []
    offset, end = 0, len(body)
    try:
        while offset < end:
            payload, *lengths, received_at_ms = _MESSAGE.unpack_from(body, offset)
            offset += _MESSAGE.size
            texts: list[str] = []
            for length in lengths:
                texts.append(body[offset : offset + length].decode("utf-8", "replace"))
                offset += length
            message_id, topic, client, broker = texts
            messages.append(Message(message_id, topic, client, broker, body[offset : offset + payload], received_at_ms))
            offset += payload
    except (StructError, ValueError) as error:
        raise BrokenFrame(f"a batch of messages cannot be read: {error}") from error
    if offset != end:
        raise BrokenFrame("a batch of messages is cut short")
    return messages


class Decoder:
    """Puts frames together from what a pipe delivers piece by piece."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Kind, bytes]]:
        """The frames that are complete now. Raises BrokenFrame for an unknown kind or an absurd length."""
        self._buffer += data
        offset = 0
        try:
            while len(self._buffer) - offset >= _HEAD.size:
                size, kind = _HEAD.unpack_from(self._buffer, offset)
                if size > MOST_BYTES or kind not in _KINDS:
                    raise BrokenFrame(f"a frame of kind {kind} and {size} bytes is none of ours")
                start = offset + _HEAD.size
                if len(self._buffer) - start < size:
                    break
                offset = start + size
                yield _KINDS[kind], bytes(memoryview(self._buffer)[start:offset])
        finally:
            del self._buffer[:offset]


_KINDS = {int(kind): kind for kind in Kind}


def _text(part: Any) -> bytes:
    return str(part).encode("utf-8", "replace")[:_LONGEST_TEXT]
