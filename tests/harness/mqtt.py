"""The packets of MQTT 3.1.1 that a DXL fabric uses, as bytes.

Owns: their encoding and their parsing from a stream. Must not: own a socket.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

CONNECT, CONNACK, PUBLISH, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = (
    1, 2, 3, 8, 9, 10, 11, 12, 13, 14,
)  # fmt: skip


class Packet(NamedTuple):
    """One packet: the kind, the four flag bits, and all that follows the length."""

    kind: int
    flags: int
    body: bytes


def packet(kind: int, body: bytes = b"", *, flags: int = 0) -> bytes:
    """A whole packet as it goes over the wire."""
    return bytes([kind << 4 | flags]) + _length(len(body)) + body


def text(value: str | bytes) -> bytes:
    """A string with its length before it."""
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def connect(client_id: str, *, keepalive: int = 60) -> bytes:
    """CONNECT with a clean session and neither name nor password."""
    return packet(CONNECT, text("MQTT") + b"\x04\x02" + struct.pack("!H", keepalive) + text(client_id))


def subscribe(packet_id: int, topics: Sequence[str]) -> bytes:
    """SUBSCRIBE to every topic at QoS 0."""
    body = struct.pack("!H", packet_id) + b"".join(text(topic) + b"\x00" for topic in topics)
    return packet(SUBSCRIBE, body, flags=2)


def publish(topic: str | bytes, payload: bytes) -> bytes:
    """PUBLISH at QoS 0."""
    return packet(PUBLISH, text(topic) + payload)


def split_publish(body: bytes, *, flags: int = 0) -> tuple[str, bytes]:
    """The topic and the payload of a PUBLISH."""
    end = 2 + int.from_bytes(body[:2], "big")
    start = end + 2 if flags & 0b0110 else end
    return body[2:end].decode(), body[start:]


def split_topics(body: bytes, *, with_qos: bool) -> tuple[int, list[str]]:
    """The packet id and the topics of a SUBSCRIBE (with QoS bytes) or an UNSUBSCRIBE (without)."""
    packet_id, position, topics = int.from_bytes(body[:2], "big"), 2, []
    while position < len(body):
        end = position + 2 + int.from_bytes(body[position : position + 2], "big")
        topics.append(body[position + 2 : end].decode())
        position = end + int(with_qos)
    return packet_id, topics


class PacketReader:
    """Cuts a stream into packets. `receive` returns the next bytes, blocking as it likes, and b"" at the end."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._buffer = bytearray()

    def next(self) -> Packet | None:
        """The next packet, or None at the end of the stream; what `receive` raises passes through and loses nothing."""
        while True:
            found = self._cut()
            if found is not None:
                return found
            data = self._receive()
            if not data:
                return None
            self._buffer += data

    def _cut(self) -> Packet | None:
        buffer, length = self._buffer, 0
        for index in range(1, min(5, len(buffer))):
            length |= (buffer[index] & 0x7F) << 7 * (index - 1)
            if buffer[index] < 0x80:
                end = index + 1 + length
                if len(buffer) < end:
                    return None
                found = Packet(buffer[0] >> 4, buffer[0] & 0x0F, bytes(buffer[index + 1 : end]))
                del buffer[:end]
                return found
        return None


def _length(value: int) -> bytes:
    encoded = bytearray()
    while True:
        value, digit = divmod(value, 128)
        encoded.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(encoded)
