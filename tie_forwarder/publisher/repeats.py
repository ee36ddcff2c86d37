"""A log line that repeats itself is logged once in a while: kafka-python warns of every single attempt."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_AGAIN_SECONDS = 10.0
_TELLING_CHARACTERS = 60
_MOST_KEPT = 200


class Repeats(logging.Filter):
    """Lets a library's line of a kind through once in ten seconds, with the number of those held back. Thread-safe.

    Lines of a kind come from one logger and begin alike. Our own events pass, and so does everything at DEBUG.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._told: dict[tuple[str, str], tuple[float | None, int]] = {}

    def attach(self) -> None:
        """Filters what this process's log handlers are given."""
        for handler in logging.getLogger().handlers:
            handler.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Called by the handlers, one at a time each."""
        if hasattr(record, "keys") or record.levelno <= logging.DEBUG:
            return True
        kind = (record.name, str(record.msg)[:_TELLING_CHARACTERS])
        now = self._monotonic()
        told_at, held_back = self._told.get(kind, (None, 0))
        if told_at is not None and now - told_at < _AGAIN_SECONDS:
            self._told[kind] = (told_at, held_back + 1)
            return False
        if len(self._told) >= _MOST_KEPT:
            self._told.clear()
        self._told[kind] = (now, 0)
        if held_back:
            record.msg = f"{record.getMessage()} ({held_back} more like this)"
            record.args = None
        return True
