"""Guarding one child: started, watched by its progress, killed when that stops, and started again with back-off."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from tie_forwarder.backoff import Backoff
from tie_forwarder.children.child import Child
from tie_forwarder.supervisor.receiver_watch import Replacement
from tie_forwarder.supervisor.source import Source

_DRAIN_PIPE_SECONDS = 5.0


class Watch(Protocol):
    """What judges the child's progress."""

    def started(self) -> None:
        """A new process starts now."""

    def reason_to_replace(self) -> Replacement | None:
        """Why the living process must be replaced; None while it may go on."""


@dataclass(frozen=True)
class Restart:
    """Why a process was started."""

    reason: str
    text: str


class Guard:
    """One child after the other. Main thread only."""

    def __init__(
        self,
        *,
        name: str,
        watch: Watch,
        attach: Callable[[Child], Source],
        configuration: Callable[[], dict[str, Any]],
        backoff: Backoff,
        on_started: Callable[[str], None],
        exit_reason: Callable[[], Restart | None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._watch = watch
        self._attach = attach
        self._configuration = configuration
        self._backoff = backoff
        self._on_started = on_started
        self._exit_reason = exit_reason
        self._monotonic = monotonic
        self._log = structlog.stdlib.get_logger()
        self._child: Child | None = None
        self._source: Source | None = None
        self._next_start = 0.0
        self._why = Restart("start", "the forwarder starts")
        self.last_restart: Restart | None = None
        """Why the last process was replaced; None while the first one runs."""

    @property
    def pid(self) -> int:
        """The living process's id; 0 when there is none."""
        return self._child.pid if self._child else 0

    def tick(self) -> None:
        """One look: starts, replaces, or lets be."""
        if self._child is None:
            if self._monotonic() >= self._next_start:
                self._start()
            return
        code = self._child.exit_code()
        if code is not None:
            self._end_source()
            self._bury(self._exit_reason() or Restart("exited", f"the process ended with code {code}"))
            return
        assert self._source is not None
        replacement = self._watch.reason_to_replace()
        if self._source.broken:
            replacement = Replacement("error", self._source.broken)
        if replacement is not None:
            self._child.kill()
            self._end_source()
            self._bury(Restart(replacement.reason, replacement.text))

    def prosper(self) -> None:
        """The child has done its work: the next failure begins with a short delay again."""
        self._backoff.reset()

    def replace(self, reason: str, text: str) -> None:
        """Kills the process, so that another starts at once: a configuration has changed."""
        if self._child is not None:
            self._child.kill()
            self._end_source()
            self._bury(Restart(reason, text))
        self._next_start = 0.0

    def ask_to_stop(self) -> None:
        """Lets the process hand over what it holds and end by itself."""
        if self._child is not None:
            self._child.say({"verb": "stop"})

    def finish(self, timeout_seconds: float) -> None:
        """Waits for the process to end, kills it after the timeout, and lets the flow read what it left."""
        if self._child is None:
            return
        if not self._child.wait(max(0.0, timeout_seconds)):
            self._child.kill()
        self._end_source()
        self._child = None

    def _start(self) -> None:
        child = Child(self.name)
        self._watch.started()
        child.start(self._configuration())
        self._source = self._attach(child)
        self._child = child
        self._on_started(self._why.reason)
        self._log.debug("child.started", child=self.name, pid=child.pid, reason=self._why.reason)

    def _bury(self, why: Restart) -> None:
        delay = self._backoff.next_seconds()
        self._child = None
        self._why = self.last_restart = why
        self._next_start = self._monotonic() + delay
        self._log.warning(
            "child.replaced",
            child=self.name,
            reason=why.reason,
            detail=why.text,
            starts_again_in_seconds=round(delay, 1),
        )

    def _end_source(self) -> None:
        """Whatever the dead process had written counts: it is read to the end before another one starts."""
        assert self._child is not None
        assert self._source is not None
        self._source.ended.wait(_DRAIN_PIPE_SECONDS)
        self._child.close()
        self._source = None
