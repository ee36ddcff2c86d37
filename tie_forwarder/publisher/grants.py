"""How far the publisher may read: what it has been granted may be in flight, and no full spool drops it."""

from __future__ import annotations

import threading


class Grants:
    """The highest position granted by the main process. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._through = 0
        self._closed = False

    @property
    def through(self) -> int:
        """The last position that may be read."""
        return self._through

    @property
    def closed(self) -> bool:
        """Whether nothing is to be read any more."""
        return self._closed

    def raise_to(self, through: int) -> None:
        """Grants more."""
        with self._changed:
            self._through = max(self._through, through)
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the reading."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_beyond(self, position: int, *, timeout_seconds: float) -> bool:
        """Blocks until more than `position` is granted; false after the timeout or when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._through > position, timeout_seconds)
            return not self._closed and self._through > position
