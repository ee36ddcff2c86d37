"""Guarding the receiver: make before break. A process that receives stays until its successor is subscribed.

DXL keeps nothing for a client that is not subscribed, so a gap between two receivers loses events. Two at the same time
only bring events twice, which their ids show. The steps of a replacement:

1. A successor starts next to the active process, under the other of two client ids, and keeps what it receives.
2. Once it is subscribed, the active process is asked to hand over. It goes on until it has received all that was
   published before, and exits; the flow reads its pipe to the end.
3. The successor becomes the active process and delivers. What came twice is recognised, and the order is kept.

A successor that does not become subscribed is killed, and another is tried later. A process without a connection has
nothing to keep: it is replaced at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tie_forwarder.backoff import Backoff
from tie_forwarder.errors import ForwarderError
from tie_forwarder.events.message import GROUP_TOPIC_PREFIX
from tie_forwarder.log import Log
from tie_forwarder.processes.child import Child
from tie_forwarder.supervisor.guard import Restart, Running, Source, told_of
from tie_forwarder.supervisor.receiver_watch import ReceiverStatus, ReceiverWatch, Reception

_HAND_OVER_SECONDS = 130.0
"""Longer than a receiver that makes progress takes for it."""
_MOST_PRESENCE_CUTS = 2
"""One may be a coincidence."""
_LAST_STATUS_SECONDS = 1.5
"""So much time even a receiver that has to hurry is given to say what it still holds."""


@dataclass(frozen=True)
class _Receiver(Running):
    watch: ReceiverWatch
    why: Restart
    has_second_id: bool


class ReceiverGuard:
    """The active receiver and, while it is being replaced, its successor. Main thread only."""

    name = "receiver"

    def __init__(
        self,
        *,
        reception: Reception,
        attach: Callable[[Child, ReceiverWatch], Source],
        configuration: Callable[[], dict[str, Any]],
        on_started: Callable[[str], None],
        make_child: Callable[[str], Child] = Child,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reception = reception
        self._attach = attach
        self._configuration = configuration
        self._on_started = on_started
        self._make_child = make_child
        self._monotonic = monotonic
        self._log = Log()
        self._backoff = Backoff(first_seconds=0.2, most_seconds=5.0)
        self._successor_backoff = Backoff(first_seconds=0.2, most_seconds=15.0)
        self._active: _Receiver | None = None
        self._successor: _Receiver | None = None
        self._next_start = self._next_successor = 0.0
        self._handing_over_until: float | None = None
        self._why = Restart("start", "the forwarder starts")
        self._wanted: Restart | None = None
        self._next_second_id = False
        self._presence_cuts = 0
        self._has_received = False
        self.last_restart: Restart | None = None
        """Why the last process was replaced; None while the first one runs."""

    @property
    def pid(self) -> int:
        """The active process's id; 0 when there is none."""
        return self._active.child.pid if self._active else 0

    @property
    def successor_pid(self) -> int:
        """The successor's process id; 0 when there is none."""
        return self._successor.child.pid if self._successor else 0

    def tick(self) -> None:
        """One look: starts, replaces, or lets be."""
        self._look_at_active()
        self._look_at_successor()
        self._start_what_is_due()
        self._reception.look()

    def prosper(self) -> None:
        """Events are received: the next failure begins with a short delay again."""
        self._has_received = True
        self._backoff.reset()
        if self._wanted is None:  # otherwise it is the successor that fails
            self._successor_backoff.reset()

    def replace(self, reason: str, text: str) -> None:
        """Lets another process take over, since a configuration or a file has changed. Returns at once.

        While there is no connection that could be kept, the process is killed here.
        """
        self._wanted = Restart(reason, text)
        self._next_start = self._next_successor = 0.0
        if self._handing_over_until is None:
            self._drop_successor()  # it knows nothing of the change
        active = self._active
        # One that has lost its connection is delivering what it holds and exits by itself.
        if active is not None and not active.watch.connected and not active.watch.status.lost:
            self._end_active(self._wanted)

    def say(self, line: dict[str, Any]) -> None:
        """Tells the living processes something; one that takes nothing now does not hear it."""
        for running in (self._active, self._successor):
            if running is not None:
                running.child.say(line)

    def ask_to_stop(self) -> None:
        """Lets the active process hand over what it holds and end by itself."""
        if self._active is not None:
            self._active.child.say({"verb": "stop"})

    def finish(self, timeout_seconds: float, *, give_up: Callable[[], bool] = lambda: False) -> None:
        """Waits for the processes to end, the successor last, and lets the flow read what they left.

        Kills them after the timeout, or soon after `give_up` says so.
        """
        deadline = self._monotonic() + timeout_seconds
        if self._active is not None:
            self._let_finish(self._active, deadline, give_up)
        if self._successor is not None:
            if self._successor.watch.connected:
                self._successor.child.say({"verb": "deliver"})
                self._successor.child.say({"verb": "stop"})
                self._let_finish(self._successor, deadline, give_up)
            else:
                self._successor.kill()
        self._active = self._successor = None

    def _let_finish(self, running: _Receiver, deadline: float, give_up: Callable[[], bool]) -> None:
        started = self._monotonic()

        def is_over() -> bool:
            return give_up() and self._monotonic() - started > _LAST_STATUS_SECONDS

        running.finish(max(deadline - started, _LAST_STATUS_SECONDS), give_up=is_over, monotonic=self._monotonic)

    def _look_at_active(self) -> None:
        active = self._active
        if active is None:
            return
        why = active.end()
        replacement = active.watch.reason_to_replace()
        if why is None and replacement is not None:
            exits = bool(active.watch.status.lost) or self._handing_over_until is not None
            if replacement.reason == "heartbeat_late" if exits else not active.watch.connected:
                why = Restart(*replacement)
        if why is None and self._handing_over_until is not None and self._monotonic() >= self._handing_over_until:
            why = Restart("error", "it did not hand over in time")
        if why is not None:
            self._end_active(why)

    def _end_active(self, why: Restart) -> None:
        """The active process is gone or has to go; its successor takes over, however far it is."""
        assert self._active is not None
        self._active.kill()
        self._next_second_id = self._active.has_second_id
        self._note_presence(self._active.watch.status)
        lost = self._active.watch.status.lost  # known for certain only now that its pipe has been read
        if why.reason == "exited" and lost:
            why = Restart("connection_lost", lost)
        self._active = None
        successor, self._successor = self._successor, None
        if successor is None:
            self._reception.on_exit(why.text, connection_lost=why.reason == "connection_lost")
            # What has received is started again at once; what has not may need a person.
            delay = 0.0 if self._has_received else self._backoff.next_seconds()
            self._has_received = False
            self._next_start = self._monotonic() + delay
            self._why = why
            self._note_replaced(why, starts_again_in_seconds=round(delay, 1))
            return
        why = successor.why if self._handing_over_until is not None else why
        self._handing_over_until = None
        successor.watch.is_successor = False
        successor.child.say({"verb": "deliver"})
        self._active = successor
        self._reception.active, self._reception.successor = successor.watch, None
        self._reception.not_replaced = ""
        if self._wanted is successor.why:
            self._wanted = None
        if not successor.watch.ready:
            self._next_successor = self._monotonic() + self._successor_backoff.next_seconds()
        self._note_replaced(why)

    def _look_at_successor(self) -> None:
        active, successor = self._active, self._successor
        if successor is None:
            return
        assert active is not None
        if self._handing_over_until is not None and active.watch.status.closing:
            return  # it receives nothing any more, so only the successor has what comes now
        end, replacement = successor.end(), successor.watch.reason_to_replace()
        if end is not None or successor.watch.status.lost:
            self._give_up_successor(successor.watch.status.lost or (end.text if end is not None else ""))
        elif self._handing_over_until is not None:
            return
        elif self._wanted is None and active.watch.ready and active.watch.reason_to_replace() is None:
            self._log.info("receiver.recovered", detail="it receives again, so it is not replaced")
            self._reception.not_replaced = ""
            self._drop_successor()
        elif successor.watch.ready or self._is_no_worse(active, successor):
            self._hand_over(active)
        elif replacement is not None:
            self._give_up_successor(replacement.text)

    @staticmethod
    def _is_no_worse(active: _Receiver, successor: _Receiver) -> bool:
        """Subscribed and silent, like the active one: the younger subscription is the better guess."""
        replacement = successor.watch.reason_to_replace()
        silent = replacement is not None and replacement.reason == "canary_late" and successor.watch.subscribed
        return silent and not active.watch.ready

    def _hand_over(self, active: _Receiver) -> None:
        replacement = active.watch.reason_to_replace()
        self._handing_over_until = self._monotonic() + _HAND_OVER_SECONDS
        if replacement is not None and replacement.reason == "heartbeat_late":
            self._end_active(Restart(*replacement))
        else:
            active.child.say({"verb": "hand_over"})

    def _give_up_successor(self, text: str) -> None:
        delay = self._successor_backoff.next_seconds()
        self._next_successor = self._monotonic() + delay
        self._reception.not_replaced = text
        self._drop_successor()
        self._log.warning(
            "receiver.not_replaced",
            detail=text,
            effect="the one that runs stays",
            tries_again_in_seconds=round(delay, 1),
        )

    def _drop_successor(self) -> None:
        """Kill the successor. The active process receives on, and has received whatever the successor held."""
        if self._successor is None:
            return
        self._successor.kill()
        self._successor = self._reception.successor = None
        if self._handing_over_until is not None and self._active is not None:
            self._active.child.say({"verb": "stay"})
        self._handing_over_until = None

    def _start_what_is_due(self) -> None:
        now, active = self._monotonic(), self._active
        if active is None:
            if now >= self._next_start:
                self._start_active()
            return
        if self._successor is not None:
            return
        replacement = active.watch.reason_to_replace()
        if self._wanted is None and replacement is None and active.watch.ready:
            self._reception.not_replaced = ""  # it has recovered by itself
        if now < self._next_successor:
            return
        why = self._wanted or (None if replacement is None else Restart(*replacement))
        if why is not None:
            self._start_successor(why)

    def _start_active(self) -> None:
        why = self._wanted or self._why
        # The same client id again: a broker that still holds the old connection drops it for the new one.
        running = self._start(why, has_second_id=self._next_second_id, successor=False)
        if running is None:
            self._next_start = self._monotonic() + self._backoff.next_seconds()
            return
        self._wanted = None
        self._active, self._reception.active = running, running.watch
        self._reception.not_replaced = ""

    def _start_successor(self, why: Restart) -> None:
        assert self._active is not None
        self._successor = self._start(why, has_second_id=not self._active.has_second_id, successor=True)
        if self._successor is None:
            self._next_successor = self._monotonic() + self._successor_backoff.next_seconds()
        else:
            self._reception.successor = self._successor.watch

    def _start(self, why: Restart, *, has_second_id: bool, successor: bool) -> _Receiver | None:
        child = self._make_child(self.name)
        watch = self._reception.new_watch()
        watch.is_successor = successor
        configuration = {**self._configuration(), "second_client_id": has_second_id, "successor": successor}
        if self._presence_cuts >= _MOST_PRESENCE_CUTS:
            configuration["group"] = None
        try:
            child.start(configuration)
        except (ForwarderError, OSError) as error:
            reason, remedy = told_of(error)
            self._reception.cannot_start(reason, remedy)
            if successor:
                self._reception.not_replaced = reason
            return None
        running = _Receiver(child, self._attach(child, watch), watch, why, has_second_id)
        self._on_started(why.reason)
        self._log.debug("child.started", child=self.name, pid=child.pid, reason=why.reason)
        return running

    def _note_presence(self, status: ReceiverStatus) -> None:
        """Some brokers disconnect a client that publishes what it may not: then receiving comes before presence."""
        if not status.presence_cut or self._presence_cuts >= _MOST_PRESENCE_CUTS:
            return
        self._presence_cuts += 1
        if self._presence_cuts == _MOST_PRESENCE_CUTS:
            self._log.warning(
                "receiver.presence_off",
                detail=f"the broker disconnects this client when it publishes to {GROUP_TOPIC_PREFIX}",
                effect="the members of the group no longer hear each other over the fabric",
                remedy=f"allow this client to send to and receive from {GROUP_TOPIC_PREFIX}#, then restart",
            )

    def _note_replaced(self, why: Restart, **more: Any) -> None:
        self.last_restart = why
        level = self._log.info if why.reason == "reload" else self._log.warning
        level("child.replaced", child=self.name, reason=why.reason, detail=why.text, **more)
