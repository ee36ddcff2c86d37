"""Guarding a child: start it, watch its progress, kill it when that stops, start the next after a back-off.

`Source` reads a child's frames, from attachment to the end of its pipe.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tie_forwarder.backoff import Backoff
from tie_forwarder.errors import ForwarderError
from tie_forwarder.log import Log
from tie_forwarder.processes.child import Child
from tie_forwarder.processes.frames import Decoder, Kind
from tie_forwarder.supervisor.publisher_watch import PublisherWatch
from tie_forwarder.supervisor.receiver_watch import Replacement

_READ_BYTES = 256 * 1024
_LONGEST_TEXT = 500


class Source:
    """Reads what is there and hands over whole frames, with itself as their sender.

    `read` belongs to the flow's thread, and so does the pipe until `ended` is set.
    """

    def __init__(self, *, child: Child, on_frame: Callable[[Source, Kind, bytes], None]) -> None:
        self.child = child
        self.ended = threading.Event()
        """Set by the flow when it has let go of the pipe; only then may anyone close it."""
        self.superseded = False
        """Set by the main thread before it starts a successor although frames of this process may still come."""
        self.broken = ""
        """What is wrong with the bytes; empty when nothing is."""
        self._on_frame = on_frame
        self._decoder = Decoder()

    def read(self) -> bool:
        """Read once, handle the complete frames, and return whether more may come. Never blocks."""
        try:
            data = os.read(self.child.output, _READ_BYTES)
        except BlockingIOError:
            return True
        if not data:
            return False
        try:
            for kind, body in self._decoder.feed(data):
                self._on_frame(self, kind, body)
        except Exception as error:  # noqa: BLE001 - the child's bytes may be anything; it is the child that must go
            self.broken = f"{self.child.name} wrote what is no frame: {error!r}"[:_LONGEST_TEXT]
            return False
        return True


_FIRST_SECONDS = 0.1
_MOST_SECONDS = 5.0
_BLOCKED_SECONDS = 6.0


class PublisherBackoff(Backoff):
    """Doubles from a tenth of a second to five; while the publisher is blocked, six at once. One thread."""

    def __init__(self, *, watch: PublisherWatch, uniform: Callable[[float, float], float] = random.uniform) -> None:
        super().__init__(first_seconds=_FIRST_SECONDS, most_seconds=_MOST_SECONDS, uniform=uniform)
        self._watch = watch
        self._spread = uniform

    def next_seconds(self) -> float:
        """The delay to wait now."""
        delay = super().next_seconds()
        trouble = self._watch.trouble
        if trouble is not None and trouble.error_class == "blocked":
            return _BLOCKED_SECONDS * self._spread(0.75, 1.25)
        return delay


_DRAIN_PIPE_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 0.02
_HAND_OVER_SECONDS = 2.0


class Watch(Protocol):
    """What judges the child's progress."""

    def started(self) -> None:
        """A new process starts now."""

    def reason_to_replace(self) -> Replacement | None:
        """Why the living process must be replaced; None while it may go on."""

    def cannot_start(self, reason: str, remedy: str) -> None:
        """No process can be started now; it is tried again."""


@dataclass(frozen=True)
class Restart:
    """Why a process was started."""

    reason: str
    text: str


@dataclass(frozen=True)
class Running:
    """One started process and its pipe, as a guard has them. Main thread only."""

    child: Child
    source: Source

    def end(self) -> Restart | None:
        """Why there must be another process: it has ended, or writes what makes no sense. None while it may go on."""
        code = self.child.exit_code()
        if code is not None:
            return Restart("exited", f"the process ended with code {code}")
        return Restart("error", self.source.broken) if self.source.broken else None

    def kill(self) -> None:
        """Ends the process, which may have ended by itself, and lets the flow read what it left.

        Whatever it had written counts: it is read to the end before another process takes its place.
        """
        self.child.kill()
        if self.source.ended.wait(_DRAIN_PIPE_SECONDS):
            self.child.close()
        else:
            # The flow still reads the pipe: it closes with the last one who holds it.
            self.source.superseded = True

    def finish(
        self,
        timeout_seconds: float,
        *,
        give_up: Callable[[], bool] = lambda: False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Waits for the process to end; kills it after the timeout, or as soon as `give_up` says so. As `kill`."""
        deadline = monotonic() + timeout_seconds
        while monotonic() < deadline and not give_up():
            if self.child.wait(_LOOK_AGAIN_SECONDS):
                break
        self.kill()


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
        make_child: Callable[[str], Child] = Child,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._watch = watch
        self._attach = attach
        self._configuration = configuration
        self._backoff = backoff
        self._on_started = on_started
        self._exit_reason = exit_reason
        self._make_child = make_child
        self._monotonic = monotonic
        self._log = Log()
        self._running: Running | None = None
        self._next_start = 0.0
        self._why = Restart("start", "the forwarder starts")
        self.last_restart: Restart | None = None
        """Why the last process was replaced; None while the first one runs."""

    @property
    def pid(self) -> int:
        """The living process's id; 0 when there is none."""
        return self._running.child.pid if self._running else 0

    def tick(self) -> None:
        """One look: starts, replaces, or lets be."""
        running = self._running
        if running is None:
            if self._monotonic() >= self._next_start:
                self._start()
            return
        why = running.end()
        if why is None and (replacement := self._watch.reason_to_replace()) is not None:
            why = Restart(*replacement)
        if why is not None:
            running.kill()
            if why.reason == "exited":
                why = self._exit_reason() or why
            self._bury(why)

    def prosper(self) -> None:
        """The child has done its work: the next failure begins with a short delay again."""
        self._backoff.reset()

    def replace(self, reason: str, text: str) -> None:
        """Lets the process hand over what it holds and starts another at once: a configuration has changed."""
        if self._running is not None:
            self.ask_to_stop()
            self.finish(_HAND_OVER_SECONDS)
            self._why = self.last_restart = Restart(reason, text)
            self._log.info("child.replaced", child=self.name, reason=reason, detail=text)
        self._next_start = 0.0

    def say(self, line: dict[str, Any]) -> None:
        """Tells the living process something; one that is not there, or takes nothing now, does not hear it."""
        if self._running is not None:
            self._running.child.say(line)

    def ask_to_stop(self) -> None:
        """Lets the process hand over what it holds and end by itself."""
        self.say({"verb": "stop"})

    def finish(self, timeout_seconds: float, *, give_up: Callable[[], bool] = lambda: False) -> None:
        """Waits for the process to end, and lets the flow read what it left.

        Kills it after the timeout, or as soon as `give_up` says so.
        """
        if self._running is not None:
            self._running.finish(timeout_seconds, give_up=give_up, monotonic=self._monotonic)
            self._running = None

    def _start(self) -> None:
        child = self._make_child(self.name)
        self._watch.started()
        try:
            child.start(self._configuration())
        except (ForwarderError, OSError) as error:
            self._watch.cannot_start(*told_of(error))
            self._next_start = self._monotonic() + self._backoff.next_seconds()
            return
        self._running = Running(child, self._attach(child))
        self._on_started(self._why.reason)
        self._log.debug("child.started", child=self.name, pid=child.pid, reason=self._why.reason)

    def _bury(self, why: Restart) -> None:
        delay = self._backoff.next_seconds()
        self._running = None
        self._why = self.last_restart = why
        self._next_start = self._monotonic() + delay
        self._log.warning(
            "child.replaced",
            child=self.name,
            reason=why.reason,
            detail=why.text,
            starts_again_in_seconds=round(delay, 1),
        )


def told_of(error: ForwarderError | OSError) -> tuple[str, str]:
    """Why a process cannot be started, and what to do: a secret cannot be read, or there is no room for a process."""
    if isinstance(error, ForwarderError):
        return error.message, error.remedy
    return str(error), "see whether this machine has room for another process"
