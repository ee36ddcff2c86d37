"""The canary: an event to a private topic that must come back through the same callback path as an event of TIE."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from dxlclient.callbacks import EventCallback
from dxlclient.message import Event

TOPIC_PREFIX = "/tie-forwarder/canary/"


class Canary(EventCallback):  # type: ignore[misc]  # dxlclient carries no types
    """Sends an event every interval and notes when the last one came back. Thread-safe."""

    def __init__(
        self,
        *,
        send: Callable[[Any], None],
        on_return: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.topic = TOPIC_PREFIX + str(uuid.uuid4())
        self._send = send
        self._on_return = on_return
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._sent: dict[bytes, float] = {}
        self._round_trips: list[float] = []
        self._answered_at: float | None = None
        self.sent = 0
        """How many canaries were sent, or are being sent."""
        self.answers_for: float | None = None
        """When the youngest canary that has come back was sent: all that was published before has come, too."""

    def fly(self) -> None:
        """Sends one canary. Blocks no longer than dxlclient's publish; may raise what that raises."""
        event = Event(self.topic)
        mark = uuid.uuid4().bytes
        event.payload = mark
        with self._lock:
            if len(self._sent) > 100:
                self._sent.clear()
            self._sent[mark] = self._monotonic()
        # Counted first: a broker that refuses it may have disconnected us before `_send` returns.
        self.sent += 1
        self._send(event)

    def on_event(self, event: Any) -> None:
        """The canary is back; runs on dxlclient's network thread."""
        with self._lock:
            now = self._monotonic()
            sent = self._sent.pop(event.payload, None) if isinstance(event.payload, bytes) else None
            if sent is not None:
                self._answered_at = now
                self.answers_for = max(sent, self.answers_for or sent)
                self._round_trips.append(now - sent)
        self._on_return()

    def answered_seconds_ago(self) -> float | None:
        """How long ago the last canary came back; None when none ever did."""
        with self._lock:
            return None if self._answered_at is None else self._monotonic() - self._answered_at

    def take_round_trips(self) -> list[float]:
        """The round trips in seconds since the last call."""
        with self._lock:
            taken, self._round_trips = self._round_trips, []
        return taken
