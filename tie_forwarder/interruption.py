"""Ctrl-C and SIGTERM as a request to end in good order.

Owns: the handlers of both signals, for the time of a `with` block. Must not: set a `threading.Event` from a handler,
which deadlocks when the interrupted thread happens to be inside that event.
"""

from __future__ import annotations

import os
import select
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Context manager of the main thread. The first signal makes `requested` true; a second one aborts at once.

    The second raises KeyboardInterrupt. The handlers that were there before are restored at the end.
    """

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> Interruption:
        self._reading, self._writing = os.pipe()
        self._before = [(number, signal.signal(number, self._on_signal)) for number in _SIGNALS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)
        os.close(self._reading)
        os.close(self._writing)

    def wait(self, seconds: float) -> bool:
        """Sleep for `seconds`, or until a signal has come; whether one has. At once when it came before."""
        select.select([self._reading], [], [], max(seconds, 0.0))
        return self.requested

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        os.write(self._writing, b"\0")
