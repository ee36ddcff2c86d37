"""The load of a group: every member has a fabric of its own, and a feed that brings it the detections.

Owns: which member gets which detection, and when. So a member can be deaf, wholly or in part, or lag behind the
others, without anything in it being broken. Must not: give a detection to nobody, unless it then does not count it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from tests.harness.detections import detection, message_id
from tests.harness.fabric import Fabric
from tests.harness.load import EventEncoder
from tests.harness.mqtt_client import MqttClient
from tie_forwarder.events.message import GROUP_TOPIC_PREFIX

Route: TypeAlias = "Callable[[int], float | None]"
"""By how many seconds a detection is delayed, by its number; None withholds it."""

_TURN_SECONDS = 0.01
_RECONNECT_SECONDS = 0.2
_PRESENCE_SECONDS = 2.0


def everything(_: int) -> float | None:
    """The route of a member that is well."""
    return 0.0


def nothing(_: int) -> float | None:
    """The route of a member that is deaf."""
    return None


class Feed:
    """One member's detections, sent by a thread of its own, so that a fabric that hangs holds up nobody else."""

    def __init__(self, *, fabric: Fabric, name: str) -> None:
        self.route: Route = everything
        self._client = MqttClient(fabric=fabric, name=f"feed-{name}")
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._stop = threading.Event()
        self._busy = False
        self._thread = threading.Thread(target=self._run, name=f"feed-{name}", daemon=True)

    def start(self) -> None:
        """Connects and begins to send."""
        self._connect()
        self._thread.start()

    def put(self, packets: Sequence[tuple[float, bytes]]) -> None:
        """Packets with the moment at which each is due, in that order. Never blocks."""
        self._waiting.extend(packets)

    @property
    def idle(self) -> bool:
        """Whether everything was sent."""
        return not self._waiting and not self._busy

    def close(self) -> None:
        """Ends the thread and hangs up; what waits is not sent."""
        self._stop.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while not self._stop.wait(_TURN_SECONDS / 2):
            self._busy = True
            due = self._take_due()
            if due:
                self._send(b"".join(due))
            self._busy = False

    def _take_due(self) -> list[bytes]:
        now, due = time.monotonic(), []
        while self._waiting and self._waiting[0][0] <= now:
            due.append(self._waiting.popleft()[1])
        return due

    def _send(self, data: bytes) -> None:
        while not self._stop.is_set():
            try:
                self._client.send(data)
            except OSError:
                self._reconnect()
            else:
                return

    def _reconnect(self) -> None:
        self._client.close()
        while not self._stop.wait(_RECONNECT_SECONDS):
            try:
                self._connect()
            except OSError:
                continue
            return

    def _connect(self) -> None:
        code = self._client.connect()
        if code:
            raise ConnectionError(f"the fabric refused a feed with code {code}")


class Acquaintance:
    """Lets the members hear of each other, as they would on one fabric: each is told who else runs.

    One thread, from `start()` to `stop()`. A deaf member is told nothing.
    """

    def __init__(self, *, group: str, feeds: Mapping[str, Feed], running: Callable[[], Iterable[str]]) -> None:
        encoder = EventEncoder(GROUP_TOPIC_PREFIX + group)
        self._packets = {name: encoder.packet(name.encode()) for name in feeds}
        self._feeds = feeds
        self._running = running
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="acquaintance", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_PRESENCE_SECONDS):
            now, running = time.monotonic(), list(self._running())
            for name, feed in self._feeds.items():
                if feed.route is not nothing:
                    feed.put([(now, self._packets[other]) for other in running if other != name])


class GroupLoad:
    """Numbers detections at an even pace and gives them to the feeds. One thread, from `start()` to `finish()`."""

    def __init__(self, *, feeds: Mapping[str, Feed], rate: float, agents: int = 50) -> None:
        self.rate = rate
        """Detections a second; 0 pauses. May be set at any time."""
        self.numbers: list[int] = []
        """Those that at least one feed was given. Ascending."""
        self.sent_at: list[float] = []
        """When each was given, by the monotonic clock."""
        self._feeds = feeds
        self._agents = agents
        self._encoder = EventEncoder()
        self._next = 0
        self._stop = threading.Event()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="group-load", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def burst(self, count: int) -> range:
        """Gives out so many detections at once, besides the pace; returns their numbers."""
        with self._turn:
            first = self._next
            self._give(count)
            return range(first, self._next)

    def give(self, payload: bytes) -> int:
        """Gives out one event with this payload now, besides the pace; returns its number."""
        with self._turn:
            number, self._next = self._next, self._next + 1
            now = time.monotonic()
            for feed in self._feeds.values():
                feed.put([(now, self._encoder.packet(payload, message_id=message_id(number)))])
            self.numbers.append(number)
            self.sent_at.append(now)
            return number

    def finish(self, *, timeout: float = 60.0) -> list[int]:
        """Ends the pace, waits until the feeds are idle, and returns the numbers that were given out."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        give_up_at = time.monotonic() + timeout
        while not all(feed.idle for feed in self._feeds.values()):
            if time.monotonic() > give_up_at:
                raise TimeoutError("a feed does not come to its end: its fabric does not read")
            time.sleep(_TURN_SECONDS)
        return self.numbers

    def _run(self) -> None:
        before, owed = time.monotonic(), 0.0
        while not self._stop.wait(_TURN_SECONDS):
            now = time.monotonic()
            owed = min(owed + self.rate * (now - before), self.rate)
            before = now
            with self._turn:
                self._give(int(owed))
            owed -= int(owed)

    def _give(self, count: int) -> None:
        now = time.monotonic()
        given: dict[str, list[tuple[float, bytes]]] = {name: [] for name in self._feeds}
        routes = {name: feed.route for name, feed in self._feeds.items()}
        for number in range(self._next, self._next + count):
            delays = {name: route(number) for name, route in routes.items()}
            if all(delay is None for delay in delays.values()):
                continue
            packet = self._packet(number)
            for name, delay in delays.items():
                if delay is not None:
                    given[name].append((now + delay, packet))
            self.numbers.append(number)
            self.sent_at.append(now)
        self._next += count
        for name, packets in given.items():
            self._feeds[name].put(packets)

    def _packet(self, number: int) -> bytes:
        payload = detection(number, agent=number % self._agents)
        return self._encoder.packet(payload, message_id=message_id(number))
