"""Signals: the first SIGTERM or SIGINT drains, the second stops at once, SIGHUP reloads."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Wishes:
    """What the signals have asked for. Set in signal handlers, read by the main loop."""

    def __init__(self) -> None:
        self.wake = threading.Event()
        """Set by every signal."""
        self.stop = False
        self.stop_now = False
        self.reload = False


@contextmanager
def captured_signals(wishes: Wishes) -> Iterator[None]:
    """Routes the signals to `wishes` and restores the handlers at the end. Main thread only."""

    def on_stop(number: int, frame: FrameType | None) -> None:
        wishes.stop_now = wishes.stop
        wishes.stop = True
        wishes.wake.set()

    def on_reload(number: int, frame: FrameType | None) -> None:
        wishes.reload = True
        wishes.wake.set()

    before = {number: signal.signal(number, on_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, on_reload)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
