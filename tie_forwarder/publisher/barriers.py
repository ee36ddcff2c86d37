"""Barriers between the publisher and its parent: everything that was reported before has been applied to the spool."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tie_forwarder.publisher.commands import Leaving
from tie_forwarder.publisher.errors import ErrorClass, PublisherError, Verdict

_BARRIER_SECONDS = 30.0


class Barriers:
    """The answers of the parent to `Reports.barrier`. Thread-safe."""

    def __init__(self) -> None:
        self._answered = threading.Condition()
        self._number = 0
        self._asked = 0

    def ask(self, ask: Callable[[int], None], *, stop: threading.Event) -> None:
        """Blocks until the parent has applied everything that was reported before. Raises Leaving on `stop`."""
        self._asked += 1
        ask(self._asked)
        give_up_at = time.monotonic() + _BARRIER_SECONDS
        with self._answered:
            while self._number < self._asked:
                self._answered.wait(0.1)
                if stop.is_set():
                    raise Leaving
                if time.monotonic() > give_up_at:
                    detail = "the main process does not confirm that the spool was brought up to date"
                    raise PublisherError(Verdict(ErrorClass.TRANSIENT, "spool", detail, "see whether the disk is full"))

    def answer(self, number: int) -> None:
        """The parent's answer."""
        with self._answered:
            self._number = max(self._number, number)
            self._answered.notify_all()
