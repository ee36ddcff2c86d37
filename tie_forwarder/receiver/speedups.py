"""Replacements for three slow parts of dxlclient: MessagePack unpacking, message ids and reads of two bytes.

Each is proven on samples before it is used; without it, everything works, more slowly.
"""

from __future__ import annotations

import logging
import os
import ssl
from functools import partial
from typing import Any

import dxlclient.message as dxl

from tie_forwarder.processes.log import log

_RECORD_BYTES = 16 * 1024
"""The most that one TLS record holds, so the most that one read gives."""


def read_ahead(sock: Any) -> Any:
    """The socket, reading ahead; one that is no TLS socket as it is."""
    return _ReadAhead(sock) if isinstance(sock, ssl.SSLSocket) else sock


class _ReadAhead:
    """All but reading is left to the socket itself."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        self._data = b""
        self._at = 0
        self.send = sock.send
        self.fileno = sock.fileno

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, most_bytes: int) -> bytes:
        """What is there, at most so much; empty at the end of the connection. Raises what the socket raises."""
        if self._at >= len(self._data):
            self._data, self._at = self._sock.recv(_RECORD_BYTES), 0
        start = self._at
        self._at = start + most_bytes
        return self._data[start : self._at]

    def pending(self) -> int:
        """How much can be read without a wait: a selector does not see it."""
        return max(0, len(self._data) - self._at) or self._sock.pending()


_READ_BYTES = 16 * 1024
_MOST_ITEMS = 131_072


class MessageIds:
    """Random UUIDs as dxlclient writes them, in its place."""

    @staticmethod
    def generate_id_as_string() -> str:
        """One of version 4, in lower case and in braces."""
        digits = os.urandom(16).hex()
        return f"{{{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}}}"


def install_message_ids() -> None:
    """Puts `MessageIds` in place, in this process."""
    dxl.UuidGenerator = MessageIds


def install_compiled_unpacker() -> bool:
    """Puts the compiled Unpacker in place; leaves all as it is, with a warning, where it is missing or differs."""
    try:
        from srsly.msgpack._unpacker import Unpacker  # its absence must not end the receiver
    except ImportError as error:
        log(
            logging.WARNING,
            "receiver.unpacker.missing",
            error=str(error),
            effect="the receiver needs about twice the CPU",
        )
        return False
    samples = _samples()
    expected = [_fields(dxl.Message._from_bytes(sample)) for sample in samples]  # noqa: SLF001
    pure = dxl.msgpack.Unpacker
    # Its defaults are to allocate a mebibyte for every message, and what a header of a few hostile bytes announces.
    dxl.msgpack.Unpacker = partial(Unpacker, read_size=_READ_BYTES, max_array_len=_MOST_ITEMS, max_map_len=_MOST_ITEMS)
    try:
        same = [_fields(dxl.Message._from_bytes(sample)) for sample in samples] == expected  # noqa: SLF001
    except Exception as error:  # noqa: BLE001 - whatever it raises, it is not used
        log(logging.WARNING, "receiver.unpacker.failed", error=repr(error))
        same = False
    if not same:
        dxl.msgpack.Unpacker = pure
        log(logging.WARNING, "receiver.unpacker.differs", effect="the receiver needs about twice the CPU")
    return same


def _samples() -> list[bytes]:
    request = dxl.Request("/sample/\u00e9")
    request.reply_to_topic = "/reply"
    messages = [
        dxl.Event("/event"),
        request,
        dxl.Response(request),
        dxl.ErrorResponse(request, error_code=7, error_message="no"),
    ]
    samples = []
    for message in messages:
        message.payload = bytes(range(256)) * 300
        message.broker_ids = ["{a}", "{b}"]
        message.other_fields = {"name": "value"}
        message.source_tenant_guid = "{tenant}"
        samples.append(message._to_bytes())  # noqa: SLF001
        message.payload = b""
        samples.append(message._to_bytes())  # noqa: SLF001
    return samples


def _fields(message: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(message).items() if name != "_request"}
