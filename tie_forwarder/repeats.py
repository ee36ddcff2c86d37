"""Repeats in the log: what says the same again and again is written a few times, and then counted.

The same is the same event, at the same level, with the same texts; numbers among the keys may differ. The count is told
as `repeated` once the window of time is over: by the next of its kind, or when `tell` is called.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

WINDOW_SECONDS = 60.0
WRITTEN_IN_A_WINDOW = 5

_MOST_WINDOWS = 1_000


@dataclass
class _Window:
    began_at: float
    written: int
    unwritten: int
    last: logging.LogRecord


class Repeats(logging.Filter):
    """A filter of one handler. What is below INFO always passes: it is for whoever hunts a fault. Thread-safe."""

    def __init__(
        self, write: Callable[[logging.LogRecord], object], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._write = write
        self._monotonic = monotonic
        self._windows: dict[Any, _Window] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written now."""
        if record.levelno < logging.INFO or hasattr(record, "repeated"):
            return True
        now = self._monotonic()
        if len(self._windows) >= _MOST_WINDOWS:
            self.tell()
        with self._lock:
            same = _same(record)
            window = self._windows.get(same)
            if window is None or now - window.began_at >= WINDOW_SECONDS:
                if len(self._windows) >= _MOST_WINDOWS and window is None:
                    return True  # so many different things are said that none of them is a repeat
                self._windows[same] = _Window(now, 1, 0, record)
                _count(record, window.unwritten if window else 0)
                return True
            window.last = record
            if window.written < WRITTEN_IN_A_WINDOW:
                window.written += 1
                return True
            window.unwritten += 1
            return False

    def tell(self, *, at_the_end: bool = False) -> None:
        """Writes the counts that are due, or all of them; cheap, to be called now and then."""
        now = self._monotonic()
        with self._lock:
            over = [
                (same, window)
                for same, window in self._windows.items()
                if at_the_end or now - window.began_at >= WINDOW_SECONDS
            ]
            for same, _ in over:
                del self._windows[same]
        for _, window in over:
            if window.unwritten:
                record = logging.makeLogRecord(dict(window.last.__dict__))
                _count(record, window.unwritten)
                self._write(record)


def _same(record: logging.LogRecord) -> Any:
    keys = getattr(record, "keys", None) or {}
    texts = tuple((name, str(value)) for name, value in keys.items() if not isinstance(value, int | float))
    return record.levelno, record.name, record.getMessage(), texts


def _count(record: logging.LogRecord, repeated: int) -> None:
    if repeated:
        keys = getattr(record, "keys", None)
        record.__dict__["keys"] = {**({"logger": record.name} if keys is None else keys), "repeated": repeated}
        record.__dict__["repeated"] = repeated
