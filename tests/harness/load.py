"""Publishes DXL events to a fabric, faster than any client could take them and with little CPU.

Owns: the encoding of events ahead of time, and the pace. It speaks MQTT itself, because dxlclient packs every message
anew in pure Python and sends it alone.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from dxlclient.message import Event

from tests.harness import mqtt
from tests.harness.detections import DETECTION_TOPIC, detection, message_id
from tests.harness.mqtt_client import MqttClient

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tests.harness.fabric import Fabric

_TURN_SECONDS = 0.01
_UNPACED_TURN = 200


class EventEncoder:
    """Encodes events of one topic as PUBLISH packets: what dxlclient sends, byte for byte, ten times as fast."""

    def __init__(self, topic: str = DETECTION_TOPIC) -> None:
        event = Event(topic)
        event.payload = b""
        # The id stands where dxlclient put it; behind it and before the payload nothing depends on either.
        before, identifier, after = event._to_bytes().partition(event.message_id.encode())
        assert identifier
        # An event without source, brokers, clients: "" "" [] [] before the payload, then [] "" [].
        self._before, self._between = before, after[:4]
        assert after[4:5] == b"\xa0", "dxlclient packs an empty payload as one byte"
        self._after = after[5:]
        self._topic = topic.encode()

    def message(self, payload: bytes, *, message_id: str | None = None) -> bytes:
        """The DXL message; its id, a braced UUID, is random unless given."""
        identifier = (message_id or f"{{{uuid.uuid4()}}}").encode()
        if len(identifier) != 38:
            raise ValueError(f"{message_id}: not a braced UUID")
        return b"".join((self._before, identifier, self._between, _raw_header(len(payload)), payload, self._after))

    def packet(self, payload: bytes, *, message_id: str | None = None) -> bytes:
        """The MQTT packet that carries the message."""
        return mqtt.publish(self._topic, self.message(payload, message_id=message_id))


class FabricPublisher:
    """One connection to a fabric. Not thread-safe, except that `stop()` may be called from anywhere."""

    def __init__(self, *, fabric: Fabric, name: str = "load") -> None:
        self._client = MqttClient(fabric=fabric, name=name)
        self._stop = threading.Event()
        self.sent = 0
        """How many events went out since the connection was opened."""

    def connect(self) -> None:
        """Connect; `ConnectionError` when the fabric refuses."""
        code = self._client.connect()
        if code:
            raise ConnectionError(f"the fabric refused the publisher with code {code}")

    def publish(
        self,
        payloads: Iterable[bytes],
        *,
        rate: float | None = None,
        message_ids: Iterable[str] | None = None,
        topic: str = DETECTION_TOPIC,
    ) -> int:
        """Publish events and return how many went out, once the broker has read them all.

        All are encoded first, at some 0.6 KB of memory each. `rate` is in events a second; without it they go as fast
        as the broker reads. Ids are random unless given.
        """
        encoder = EventEncoder(topic)
        if message_ids is None:
            packets = [encoder.packet(payload) for payload in payloads]
        else:
            packets = [encoder.packet(p, message_id=i) for p, i in zip(payloads, message_ids, strict=True)]
        return self.send(packets, rate=rate)

    def publish_detections(self, numbers: Iterable[int], *, rate: float | None = None, agents: int = 50) -> int:
        """Publish numbered detections, spread over `agents` endpoints; as `publish`."""
        return self.send(encode_detections(numbers, agents=agents), rate=rate)

    def send(self, packets: Sequence[bytes], *, rate: float | None = None) -> int:
        """Send packets at an even pace; returns how many, less than all after `stop()`. As `publish`."""
        start, done = time.monotonic(), 0
        for turn in _turns(packets, rate):
            if self._stop.is_set():
                break
            if rate is not None and self._stop.wait(max(start + done / rate - time.monotonic(), 0)):
                break
            self._client.send(b"".join(turn))
            done += len(turn)
            self.sent += len(turn)
        self._client.ping(timeout=60.0)
        return done

    def stop(self) -> None:
        """Make a running `publish` return soon; the events that it has not sent stay unsent."""
        self._stop.set()

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BackgroundLoad:
    """Publishes detections while a test does something else.

    The detections are encoded by the constructor's caller; the sending thread runs from `start()` to `finish()`.
    """

    def __init__(self, *, publisher: FabricPublisher, numbers: range, rate: float, agents: int = 50) -> None:
        self._publisher = publisher
        self._numbers = numbers
        self._rate = rate
        self._packets = encode_detections(numbers, agents=agents)
        self._error: OSError | None = None
        self._sent_before = 0
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        """Begin to send; returns at once. The publisher must be connected."""
        self._sent_before = self._publisher.sent
        self._thread.start()

    @property
    def sent(self) -> int:
        """How many of the numbers have gone out, in their order."""
        return self._publisher.sent - self._sent_before

    def finish(self, *, early: bool = False) -> range:
        """Block until everything is sent, or stop now with `early`; the numbers that were sent.

        Raises what sending raised.
        """
        if early:
            self._publisher.stop()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._numbers[: self.sent]

    def _run(self) -> None:
        try:
            self._publisher.send(self._packets, rate=self._rate)
        except OSError as error:
            self._error = error


def encode_detections(numbers: Iterable[int], *, agents: int = 50) -> list[bytes]:
    """The packets of numbered detections, spread over `agents` endpoints by the number."""
    encoder = EventEncoder()
    return [
        encoder.packet(detection(number, agent=number % agents), message_id=message_id(number)) for number in numbers
    ]


def _turns(packets: Sequence[bytes], rate: float | None) -> Iterator[Sequence[bytes]]:
    size = _UNPACED_TURN if rate is None else max(1, int(rate * _TURN_SECONDS))
    for first in range(0, len(packets), size):
        yield packets[first : first + size]


def _raw_header(length: int) -> bytes:
    # msgpack before its bin type: dxlclient packs bytes as raw of 5, 16 or 32 bits.
    if length < 32:
        return bytes([0xA0 | length])
    if length < 1 << 16:
        return b"\xda" + length.to_bytes(2, "big")
    return b"\xdb" + length.to_bytes(4, "big")
