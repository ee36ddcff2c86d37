"""Bounding calls that may block for ever: what does not return in time takes the process with it.

kafka-python's `commit_transaction` never returns when the broker went away at the wrong moment, and no other call can
wake it. The status thread looks at the deadline; the process is what can be ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Deadline:
    """The moment by which the main thread must be back, if it is in such a call. Thread-safe."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._ends_at: float | None = None
        self._what = ""

    @contextmanager
    def within(self, seconds: float, what: str) -> Iterator[None]:
        """Lets the process end when the block takes longer."""
        with self._lock:
            self._ends_at, self._what = self._monotonic() + seconds, what
        try:
            yield
        finally:
            with self._lock:
                self._ends_at = None

    def overrun(self) -> str:
        """What has taken too long; empty while nothing has."""
        with self._lock:
            late = self._ends_at is not None and self._monotonic() > self._ends_at
            return self._what if late else ""
