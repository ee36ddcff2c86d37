"""Members of a group hear of each other: each publishes its name on a topic of the group, and subscribes to it.

A hint only: anybody on the fabric may publish there. A topic that is restricted, or an event that does not arrive, is
no error; a member that hears nobody acts as a lone one. Everything here runs beside the events: a thread of its own
publishes, and the callback looks at no more than a name.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from dxlclient.callbacks import EventCallback
from dxlclient.message import Event

from tie_forwarder.events.message import GROUP_TOPIC_PREFIX

PRESENCE_SECONDS = 5.0
_CUT_SECONDS = 3.0
_MOST_HEARD = 20
_NAME = re.compile(rb"[A-Za-z0-9._-]{1,200}")
"""What `group.member` may be."""


class Presence(EventCallback):  # type: ignore[misc]  # dxlclient carries no types
    """Publishes this member's name from `start` on, and collects the names of others. Thread-safe."""

    def __init__(self, *, group: str, member: str) -> None:
        super().__init__()
        self.topic = GROUP_TOPIC_PREFIX + group
        self._name = member.encode()
        self._lock = threading.Lock()
        self._heard: dict[str, None] = {}
        self._began_at: float | None = None

    def start(self, *, subscribe: Callable[[str, Presence], None], send: Callable[[Any], None]) -> None:
        """Begin, unless it has begun. Call it once the connection works. Returns at once; both may block or raise."""
        with self._lock:
            if self._began_at is not None:
                return
            self._began_at = time.monotonic()
        threading.Thread(target=self._run, args=(subscribe, send), name="presence", daemon=True).start()

    def has_just_begun(self) -> bool:
        """Whether the first event was sent no longer than a few seconds ago: what it causes has happened by then."""
        return self._began_at is not None and time.monotonic() - self._began_at < _CUT_SECONDS

    def on_event(self, event: Any) -> None:
        """Take the name of a member; runs on dxlclient's network thread, never blocks or raises."""
        name = event.payload
        if not isinstance(name, bytes) or name == self._name or not _NAME.fullmatch(name):
            return
        with self._lock:
            self._heard[name.decode()] = None
            if len(self._heard) > _MOST_HEARD:
                del self._heard[next(iter(self._heard))]

    def take_heard(self) -> Sequence[str]:
        """The other members that were heard since the last call, 20 at most."""
        with self._lock:
            taken, self._heard = self._heard, {}
        return list(taken)

    def _run(self, subscribe: Callable[[str, Presence], None], send: Callable[[Any], None]) -> None:
        with suppress(Exception):  # dxlclient raises what paho does; whoever is not subscribed hears nobody
            subscribe(self.topic, self)
        pause = threading.Event()
        while True:
            event = Event(self.topic)
            event.payload = self._name
            with suppress(Exception):  # as above; the connection's end is somebody else's concern
                send(event)
            pause.wait(PRESENCE_SECONDS)
