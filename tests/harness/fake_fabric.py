"""A fabric that misbehaves on command.

Owns: a TLS server in this process that speaks as much MQTT 3.1.1 as a DXL client needs, and every way in which real
brokers were seen to fail that Mosquitto cannot be made to show. Normally it behaves as Mosquitto does; the same tests
hold for both.
"""

from __future__ import annotations

import contextlib
import enum
import select
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness import mqtt
from tests.harness.fabric import Fabric
from tests.harness.ports import free_port
from tie_forwarder.demo.certificates import Authority

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

GARBAGE = mqtt.packet(mqtt.PUBLISH, b"\xff\xff\xff")
"""A PUBLISH whose topic is longer than the packet."""

_HANDSHAKE_SECONDS = 10.0
_STALLED_SECONDS = 5.0


class Behaviour(enum.Enum):
    """What the fabric does to its clients from now on."""

    NORMAL = "delivers everything"
    DROP_AFTER_CONNACK = "welcomes new connections and closes them at once"
    REFUSE_SUBSCRIPTIONS = "answers every SUBSCRIBE with 0x80"
    GARBAGE = "sends a malformed packet after each SUBACK"
    SILENT = "accepts new TCP connections and says nothing"
    DEAF = "answers, and delivers nothing"


class FakeFabric(Fabric):
    """A broker on 127.0.0.1 with mutual TLS, from `start()` to `stop()`. Every method may be called from any thread.

    `behaviour` may be set at any time and holds for what clients do from then on; connections stay open unless
    `drop_connections()` closes them. Topics in `deaf_topics` are not delivered whatever the behaviour.
    """

    def __init__(self, *, directory: Path, authority: Authority) -> None:
        super().__init__(directory=directory, authority=authority, port=free_port())
        self.behaviour = Behaviour.NORMAL
        self.deaf_topics: set[str] = set()
        self.refused_topics: set[str] = set()
        """Topics whose subscription is answered with 0x80."""
        self.connects = 0
        """How many clients have been welcomed with a CONNACK."""
        self._listener: socket.socket | None = None
        self._sessions: set[_Session] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Listen; returns once clients can connect."""
        identity = self.identity("broker")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity.certificate, identity.key)
        context.load_verify_locations(self.authority.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._run(self._accept, self._listener, context)

    def stop(self) -> None:
        """Close everything and block until the threads have ended. `start()` may follow, on the same port."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # Closing alone would not wake the thread that waits in accept().
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.drop_connections()
        while self._threads:
            self._threads.pop(0).join()

    def drop_connections(self) -> None:
        """Close every open connection without a word."""
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.close()

    def send_garbage(self) -> None:
        """Send a malformed packet to every connected client now."""
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.send(GARBAGE)

    @property
    def subscriptions(self) -> set[str]:
        """The topics that connected clients are subscribed to."""
        with self._lock:
            return {topic for session in self._sessions for topic in session.topics}

    def deliver(self, topic: str, body: bytes) -> None:
        """Pass a PUBLISH on to its subscribers, the sender included, unless the fabric is deaf."""
        if self.behaviour is Behaviour.DEAF or topic in self.deaf_topics:
            return
        with self._lock:
            receivers = [session for session in self._sessions if session.wants(topic)]
        for session in receivers:
            session.send(mqtt.packet(mqtt.PUBLISH, body))

    def _accept(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            session = _Session(fabric=self, connection=connection)
            with self._lock:
                self._sessions.add(session)
            self._run(self._serve, session, context)

    def _serve(self, session: _Session, context: ssl.SSLContext) -> None:
        # What a client does wrong, or its end, is the end of its session only.
        with contextlib.suppress(OSError, ValueError, IndexError):
            session.run(context)
        with self._lock:
            self._sessions.discard(session)
        session.release()

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="fake-fabric", daemon=True)
        self._threads.append(thread)
        thread.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Session:
    """One client's connection, read by one thread and written by any."""

    def __init__(self, *, fabric: FakeFabric, connection: socket.socket) -> None:
        self.topics: set[str] = set()
        self._fabric = fabric
        self._connection = connection
        # OpenSSL forbids two threads in one connection, so no call may block while it holds this.
        self._tls = threading.Lock()

    def run(self, context: ssl.SSLContext) -> None:
        """Serve the client until it goes."""
        if self._fabric.behaviour is Behaviour.SILENT:
            while self._connection.recv(1 << 12):
                pass
            return
        connection = context.wrap_socket(self._connection, server_side=True, do_handshake_on_connect=False)
        self._connection = connection
        connection.settimeout(_HANDSHAKE_SECONDS)
        connection.do_handshake()
        connection.setblocking(False)
        reader = mqtt.PacketReader(self._receive)
        while (packet := reader.next()) is not None and packet.kind != mqtt.DISCONNECT:
            self._answer(packet)
            if packet.kind == mqtt.CONNECT and self._fabric.behaviour is Behaviour.DROP_AFTER_CONNACK:
                return

    def wants(self, topic: str) -> bool:
        """Whether the client is subscribed to the topic."""
        return topic in self.topics or any(t[-1:] == "#" and topic.startswith(t[:-1]) for t in self.topics)

    def send(self, data: bytes) -> None:
        """Send to the client; one that is gone or does not read is dropped."""
        try:
            with self._tls:
                while data:
                    try:
                        data = data[self._connection.send(data) :]
                    except ssl.SSLWantWriteError:
                        self._wait(select.POLLOUT, _STALLED_SECONDS)
        except (OSError, ValueError):
            self.close()

    def close(self) -> None:
        """End the connection; the thread that reads it wakes and releases it."""
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown, which would go on in plain text.
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def release(self) -> None:
        """Give the socket back."""
        self._connection.close()

    def _receive(self) -> bytes:
        while True:
            with self._tls, contextlib.suppress(ssl.SSLWantReadError):
                return self._connection.recv(1 << 16)
            self._wait(select.POLLIN)

    def _wait(self, event: int, seconds: float | None = None) -> None:
        poll = select.poll()
        poll.register(self._connection, event)
        if not poll.poll(None if seconds is None else seconds * 1_000):
            raise TimeoutError(f"the client does not read for {seconds} s")

    def _answer(self, packet: mqtt.Packet) -> None:
        if packet.kind == mqtt.CONNECT:
            self._fabric.connects += 1
            self.send(mqtt.packet(mqtt.CONNACK, b"\x00\x00"))
        elif packet.kind == mqtt.SUBSCRIBE:
            self._subscribe(packet.body)
        elif packet.kind == mqtt.UNSUBSCRIBE:
            _, topics = mqtt.split_topics(packet.body, with_qos=False)
            self.topics = self.topics.difference(topics)
            self.send(mqtt.packet(mqtt.UNSUBACK, packet.body[:2]))
        elif packet.kind == mqtt.PINGREQ:
            self.send(mqtt.packet(mqtt.PINGRESP))
        elif packet.kind == mqtt.PUBLISH:
            topic, _ = mqtt.split_publish(packet.body)
            self._fabric.deliver(topic, packet.body)

    def _subscribe(self, body: bytes) -> None:
        _, topics = mqtt.split_topics(body, with_qos=True)
        refuse_all = self._fabric.behaviour is Behaviour.REFUSE_SUBSCRIPTIONS
        refused = [refuse_all or topic in self._fabric.refused_topics for topic in topics]
        self.topics = self.topics.union(topic for topic, no in zip(topics, refused, strict=True) if not no)
        self.send(mqtt.packet(mqtt.SUBACK, body[:2] + bytes(0x80 if no else 0 for no in refused)))
        if self._fabric.behaviour is Behaviour.GARBAGE:
            self.send(GARBAGE)
