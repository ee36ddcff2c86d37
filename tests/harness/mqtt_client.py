"""A small MQTT 3.1.1 client over TLS, for tests that must see each packet or send very many.

Owns: one connection. Must not: reconnect, or use a thread: whoever calls a verb does the work.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from tests.harness import mqtt

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tests.harness.fabric import Fabric

_SECONDS = 10.0


class MqttClient:
    """A client of `fabric` with the identity and the client id `name`. The constructor does not connect."""

    def __init__(self, *, fabric: Fabric, name: str) -> None:
        self.name = name
        self._fabric = fabric
        self._socket: socket.socket | None = None
        self._reader = mqtt.PacketReader(self._receive)

    def connect(self) -> int:
        """Open the connection and return the code of the CONNACK, 0 for welcome. `OSError` when there is no answer."""
        plain = socket.create_connection(("127.0.0.1", self._fabric.port), timeout=_SECONDS)
        self._socket = self._fabric.client_tls(self.name).wrap_socket(plain, server_hostname="127.0.0.1")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = mqtt.PacketReader(self._receive)
        self.send(mqtt.connect(self.name))
        return self.expect(mqtt.CONNACK).body[1]

    def subscribe(self, *topics: str) -> list[int]:
        """Subscribe and return the codes of the SUBACK, one for each topic: 0 for granted, 0x80 for refused."""
        self.send(mqtt.subscribe(1, topics))
        return list(self.expect(mqtt.SUBACK).body[2:])

    def ping(self, *, timeout: float = _SECONDS) -> None:
        """Return once the broker has read everything that was sent before; `TimeoutError` when it does not answer."""
        self.send(mqtt.packet(mqtt.PINGREQ))
        self.expect(mqtt.PINGRESP, timeout=timeout)

    def send(self, data: bytes) -> None:
        """Send packets as they are. Blocks while the broker does not read, at most ten seconds."""
        if self._socket is None:
            raise ConnectionError(f"{self.name} is not connected")
        self._socket.sendall(data)

    def expect(self, kind: int, *, timeout: float = _SECONDS) -> mqtt.Packet:
        """The next packet of this kind, skipping others; `TimeoutError`, or `ConnectionError` when there is no more."""
        deadline = time.monotonic() + timeout
        while True:
            packet = self._next(deadline)
            if packet.kind == kind:
                return packet

    def message(self, *, timeout: float = _SECONDS) -> tuple[str, bytes]:
        """The topic and the payload of the next PUBLISH that arrives."""
        packet = self.expect(mqtt.PUBLISH, timeout=timeout)
        return mqtt.split_publish(packet.body, flags=packet.flags)

    def close(self) -> None:
        """Hang up without a word; without effect when not connected."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _next(self, deadline: float) -> mqtt.Packet:
        if self._socket is None:
            raise ConnectionError(f"{self.name} is not connected")
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            packet = self._reader.next()
        finally:
            self._socket.settimeout(_SECONDS)
        if packet is None:
            raise ConnectionError(f"the fabric closed the connection of {self.name}")
        return packet

    def _receive(self) -> bytes:
        assert self._socket is not None
        return self._socket.recv(1 << 16)

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
