"""Signals: the first SIGTERM or SIGINT drains, the second stops at once, SIGHUP reloads."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType


class Wishes:
    """What the signals have asked for. Set in signal handlers, read by the main loop.

    Waking goes through a pipe: an Event's lock could be held by the very code that the handler has interrupted.
    """

    def __init__(self) -> None:
        self.stop = False
        self.stop_now = False
        self.reload = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def wait(self, timeout_seconds: float) -> None:
        """Blocks until a signal comes, or until the timeout."""
        if select.select([self._read], [], [], timeout_seconds)[0]:
            with suppress(BlockingIOError):
                os.read(self._read, 1024)

    def on_stop(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGTERM and SIGINT."""
        self.stop_now = self.stop
        self.stop = True
        self._wake()

    def on_reload(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGHUP."""
        self.reload = True
        self._wake()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self._write, b"\0")


@contextmanager
def captured_signals(wishes: Wishes) -> Iterator[None]:
    """Routes the signals to `wishes` and restores the handlers at the end. Main thread only."""
    handlers = {signal.SIGTERM: wishes.on_stop, signal.SIGINT: wishes.on_stop, signal.SIGHUP: wishes.on_reload}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
