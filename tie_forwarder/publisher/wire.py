"""The few requests of Kafka's protocol that come before any other, on a plain blocking socket.

Encoding as in kafka.apache.org/protocol: a length, then api key, version, correlation id, client id, body. Must not:
judge an answer, or open a connection.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

TLS_ALERT = b"\x15\x03"
"""How an answer begins that speaks TLS to one who does not."""

_METADATA, _SASL_HANDSHAKE, _API_VERSIONS, _SASL_AUTHENTICATE = 3, 17, 18, 36
_NO_TOPICS = struct.pack(">i", 0)
_LONGEST_ANSWER_BYTES = 1024 * 1024
_CLIENT_ID = b"tie-forwarder"


class Mechanisms(NamedTuple):
    """What a broker answers to a SASL handshake."""

    error: int
    offered: list[str]


class LoginStep(NamedTuple):
    """What a broker answers to a step of a login."""

    error: int
    message: str
    token: bytes


def ask_versions(stream: socket.socket) -> bytes:
    """The answer of whoever listens there, or its start where it is no answer of Kafka's. Raises EOFError, OSError."""
    return _ask(stream, _API_VERSIONS, 0, b"")


def takes_requests(stream: socket.socket) -> bool:
    """Whether a request that is no part of a login is answered; a listener that wants one hangs up. Raises OSError."""
    try:
        _ask(stream, _METADATA, 1, _NO_TOPICS)
    except (EOFError, ConnectionError):
        return False
    return True


def ask_mechanisms(stream: socket.socket, name: str) -> Mechanisms | None:
    """The answer to a SASL handshake; None where the listener ends the connection over it. Raises OSError."""
    try:
        answer = _ask(stream, _SASL_HANDSHAKE, 1, _text(name.encode()))
    except (EOFError, ConnectionError):
        return None
    if answer.startswith(TLS_ALERT):
        return None
    (error, count), rest = struct.unpack(">hi", answer[:6]), answer[6:]
    offered = []
    for _ in range(count):
        (length,) = struct.unpack(">h", rest[:2])
        offered.append(rest[2 : 2 + length].decode("utf-8", "replace"))
        rest = rest[2 + length :]
    return Mechanisms(error, offered)


def log_in(stream: socket.socket, token: bytes) -> LoginStep:
    """One step of a login. Raises EOFError, OSError, struct.error."""
    answer = _ask(stream, _SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token)
    (error, length), rest = struct.unpack(">hh", answer[:4]), answer[4:]
    size = max(0, length)
    return LoginStep(error, rest[:size].decode("utf-8", "replace"), rest[size + 4 :])


def _ask(stream: socket.socket, api: int, version: int, body: bytes) -> bytes:
    """One request and the body of its answer, or the start of what is none. Raises EOFError, OSError."""
    request = struct.pack(">hhi", api, version, api) + _text(_CLIENT_ID) + body
    stream.sendall(struct.pack(">i", len(request)) + request)
    head = _read(stream, 4)
    (length,) = struct.unpack(">i", head)
    if head.startswith(TLS_ALERT) or not 4 <= length <= _LONGEST_ANSWER_BYTES:
        return head
    return _read(stream, length)[4:]


def _read(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if not piece:
            raise EOFError("it closed the connection")
        data += piece
    return data


def _text(value: bytes) -> bytes:
    return struct.pack(">h", len(value)) + value
