"""Virtual time: what happens next, and the one source of randomness of a schedule."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from heapq import heappop, heappush
from typing import Any, TypeAlias

Flow: TypeAlias = "Generator[float, None, Any]"
"""A course of effects: it yields for how many seconds it rests before the next one."""


class Process:
    """A flow that can be stopped and killed between any two of its effects."""

    def __init__(self, flow: Flow, *, on_step: Callable[[Process], None] | None = None) -> None:
        self.flow = flow
        self.alive = True
        self.stopped_until = 0.0
        self.on_step = on_step

    def kill(self) -> None:
        """It never takes another step. What it has sent is on its way all the same."""
        self.alive = False

    def stop(self, until: float) -> None:
        """It takes no step until then (SIGSTOP, SIGCONT)."""
        self.stopped_until = max(self.stopped_until, until)


class World:
    """The clock and the queue of what is to happen."""

    def __init__(self, seed: int, *, trace: Callable[[str], None] | None = None) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self.under_way = 0
        """Requests that have not reached their receiver yet."""
        self._queue: list[tuple[float, int, Any]] = []
        self._pushed = 0
        self._trace = trace
        self.tracing = trace is not None

    def tell(self, who: str, text: str) -> None:
        """A line of the trace."""
        if self._trace is not None:
            self._trace(f"{self.now:9.4f} {who:<8} {text}")

    def at(self, time: float, what: Callable[[], None]) -> None:
        """Something happens at that time."""
        self._push(max(self.now, time), what)

    def spawn(self, process: Process, *, at: float) -> Process:
        """The process takes its first step at that time."""
        self._push(max(self.now, at), process)
        return process

    def run(self, *, until: float, done: Callable[[], bool]) -> None:
        """Lets everything happen until `done`, asked once a second, or until the given time."""
        ask_at = 0.0
        while self._queue:
            time, _, what = heappop(self._queue)
            if time > until:
                self.now = until
                return
            self.now = time
            if time >= ask_at:
                if done():
                    return
                ask_at = time + 1.0
            self.steps += 1
            if isinstance(what, Process):
                self._step(what)
            else:
                what()

    def _step(self, process: Process) -> None:
        if process.on_step is not None and process.alive and self.now >= process.stopped_until:
            process.on_step(process)
        if not process.alive:
            return
        if self.now < process.stopped_until:
            self._push(process.stopped_until, process)
            return
        try:
            rest = next(process.flow)
        except StopIteration:
            process.alive = False
            return
        self._push(self.now + rest, process)

    def _push(self, time: float, what: Any) -> None:
        self._pushed += 1
        heappush(self._queue, (time, self._pushed, what))
