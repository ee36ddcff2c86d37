"""Noticing a loop of this process that stands still, so that the process can end and be started anew.

Looks are counted, not seconds: a process that was stopped as a whole, or a machine that slept, is no stalled loop.
"""

from __future__ import annotations

import faulthandler
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from tie_forwarder.log import Log

STALLED_EXIT_CODE = 70


class StallWatch:
    """Compares the loops' last ticks from look to look. One thread."""

    def __init__(self, *, ticks: Mapping[str, Callable[[], float]], patience_looks: int) -> None:
        self._ticks = ticks
        self._patience = patience_looks
        self._last: dict[str, float] = {}
        self._still: dict[str, int] = dict.fromkeys(ticks, 0)

    def wait_for_one(self, *, look_seconds: float) -> list[str]:
        """Blocks until a loop has stalled; the names of those that have."""
        while not (stalled := self.look()):
            time.sleep(look_seconds)
        return stalled

    def look(self) -> list[str]:
        """The names of the loops that have not ticked for `patience_looks` looks in a row."""
        for name, tick in self._ticks.items():
            ticked_at = tick()
            self._still[name] = self._still[name] + 1 if self._last.get(name) == ticked_at else 0
            self._last[name] = ticked_at
        return [name for name, looks in self._still.items() if looks >= self._patience]


def end_at_once(loops: list[str]) -> None:
    """End this process, with the stalled loops in its log and the stack of every thread on standard error."""
    with suppress(Exception):  # the process must exit, whatever the log does
        Log().error("forwarder.stalled", loops=loops, exit_code=STALLED_EXIT_CODE)
    with suppress(Exception):  # standard error may be closed
        faulthandler.dump_traceback(all_threads=True)
    os._exit(STALLED_EXIT_CODE)
