"""The first packets of MQTT 3.1.1 (OASIS standard, section 3.1 and 3.2) on a plain blocking socket."""

from __future__ import annotations

import socket
import struct

_CONNECT, _CONNACK, _DISCONNECT = b"\x10", 0x20, b"\xe0\x00"
_CLEAN_SESSION = 0x02
_KEEP_ALIVE_SECONDS = 5
_REFUSALS = {
    1: "it speaks another version of MQTT",
    2: "it refuses the client id",
    3: "it is not available",
    4: "it refuses name or password",
    5: "it refuses this client: not authorised",
}


def ask_welcome(stream: socket.socket, client_id: str) -> str:
    """Connects as `client_id` and leaves; empty when welcome, else what the broker says. Raises OSError, EOFError."""
    name = client_id.encode()
    body = struct.pack(">H4sBBH", 4, b"MQTT", 4, _CLEAN_SESSION, _KEEP_ALIVE_SECONDS)
    body += struct.pack(">H", len(name)) + name
    stream.sendall(_CONNECT + bytes([len(body)]) + body)
    answer = _read(stream, 4)
    if answer[0] != _CONNACK:
        return "what answers there is no MQTT broker"
    if answer[3] == 0:
        stream.sendall(_DISCONNECT)
    return "" if answer[3] == 0 else _REFUSALS.get(answer[3], f"it refuses the connection with code {answer[3]}")


def _read(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if not piece:
            raise EOFError("it closed the connection")
        data += piece
    return data
