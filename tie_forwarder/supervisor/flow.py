"""The flow: one thread that reads both children, lets the writer change the spool, and lets the publisher read on.

One thread, so that "has Kafka this event already?" and "put it into the spool" are one step. Each turn reads what is
there, lets intake decode it, and commits at most once per commit interval; that commit is the accept point.
"""

from __future__ import annotations

import json
import os
import selectors
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from tie_forwarder.group.commands import Gap
from tie_forwarder.group.window import Window
from tie_forwarder.intake import Intake
from tie_forwarder.log import Log
from tie_forwarder.processes.child import Child
from tie_forwarder.processes.frames import Kind, decode_messages
from tie_forwarder.spool import Spool
from tie_forwarder.status.wording import describe
from tie_forwarder.supervisor.accounts import Accounts, ReceiverAccount
from tie_forwarder.supervisor.guard import Source
from tie_forwarder.supervisor.peers import Peers, WithheldTopics
from tie_forwarder.supervisor.publisher_watch import PublisherWatch
from tie_forwarder.supervisor.receiver_watch import ReceiverWatch, Reception
from tie_forwarder.supervisor.writer import Arrivals, Pace, Refusal, Writer

_GRANTED_POSITIONS = 6_000
_GRANTED_SHARE = 4
_IDLE_SECONDS = 0.5
_ID_BYTES = 16
_LOOK_SECONDS = 1.0
_ABOUT_ROWS = ("published", "corrupt", "unlisted")
"""Reports that stay true after the process that sent them has a successor."""


class Rescue(NamedTuple):
    """The spool's file was deleted or replaced, and everything was put into a new one."""

    at: float
    """By the monotonic clock."""
    detail: str


class Flow:
    """Reads, accepts, settles. `run` is the thread; `attach_*`, `stop` and the properties are for the main thread."""

    def __init__(
        self,
        *,
        spool: Spool,
        intake: Intake,
        window: Window,
        accounts: Accounts,
        receiver: Reception,
        publisher: PublisherWatch,
        peers: Peers,
        withheld: WithheldTopics,
        commit_interval_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._accounts = accounts
        self._receiver = receiver
        self._publisher = publisher
        self._peers = peers
        self.withheld = withheld
        """Whether what others publish arrives here as well."""
        self._pace = Pace(interval_seconds=commit_interval_seconds, monotonic=monotonic)
        self._writer = Writer(
            spool=spool,
            arrivals=Arrivals(intake=intake, window=window, accounts=accounts),
            window=window,
            accounts=accounts,
            pace=self._pace,
            monotonic=monotonic,
        )
        self._monotonic = monotonic
        self._log = Log()
        self._reports: dict[str, Callable[[Source, dict[str, Any]], None]] = {
            "published": self._on_published,
            "live": lambda _, report: self.withheld.on_live(report["live"]),
            "refused": self._on_refused,
            "corrupt": lambda _, report: self._writer.set_aside(report["corrupt"]),
            "role": self._on_role,
            "remember": lambda _, report: self._publisher.on_remember(report["remember"]),
            "barrier": self._on_barrier,
            "compacted": lambda _, report: self._publisher.on_compacted(report["compacted"], report["remedy"]),
            "unlisted": lambda _, report: self._publisher.on_unlisted(report["unlisted"]),
            "error": self._on_error,
        }
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._attached: SimpleQueue[Source] = SimpleQueue()
        self._receiver_accounts: dict[Source, ReceiverAccount] = {}
        self._stop = threading.Event()
        self._barriers: dict[Source, int] = {}
        self._publishing: Source | None = None
        self._granted = 0
        """What the present publisher has been granted."""
        self._in_flight_through = 0
        """The last position that any publisher may have in flight, also one of a main process that was killed."""
        self._told_gap: Gap | None = None
        self._looked_at = monotonic()
        self.rescue: Rescue | None = None
        """The last time that the spool's file had lost its place."""
        self.ticked_at = monotonic()
        """When the last turn ended, by the monotonic clock: the thread's progress."""

    def attach_receiver(self, child: Child, watch: ReceiverWatch) -> Source:
        """From now on this child's messages are read and counted, next to those of another; `watch` hears of it."""
        account = self._accounts.open_receiver(is_successor=lambda: watch.is_successor)
        source = Source(child=child, on_frame=partial(self._on_receiver_frame, watch, account))
        self._receiver_accounts[source] = account
        return self._attach(source)

    def attach_publisher(self, child: Child) -> Source:
        """From now on this child gets the grants, and its reports are read."""
        return self._attach(Source(child=child, on_frame=self._on_publisher_frame))

    @property
    def idle(self) -> bool:
        """Whether everything that was read is on the disk."""
        return not self._writer.pending

    @property
    def disk_error(self) -> str:
        """What the disk said at the last commit; empty when all was written."""
        return self._writer.disk_error

    def stop(self) -> None:
        """Lets the thread end after a last commit."""
        self._stop.set()
        self._wake()

    def run(self) -> None:
        """The thread's body."""
        while not self._stop.is_set():
            self.run_once()
        self._read_what_receivers_left()
        self._commit()
        self._look_after_spool(at_once=True)
        self._selector.close()

    def run_once(self) -> None:
        """One turn: waits for something to read or to commit, reads it, and commits when that is due."""
        for key, _ in self._selector.select(self._patience()):
            if key.data is None:
                self._take_attached()
            else:
                self._read(key.data)
        if self._monotonic() - self._looked_at >= _LOOK_SECONDS:
            self._look_after_spool()
        if self._writer.pending and self._writer.due_in_seconds == 0.0:
            self._commit()
        elif not self._writer.pending:
            self._spool.trim()
            self._accounts.on_idle(self._spool.events)
        self._peers.look(hears=self._receiver.hears)
        self._grant()
        self._answer_barriers()
        self._receiver.on_listened()
        self._publisher.on_listened()
        self._tick()

    def _patience(self) -> float:
        return self._writer.due_in_seconds if self._writer.pending else _IDLE_SECONDS

    def _attach(self, source: Source) -> Source:
        self._attached.put(source)
        self._wake()
        return source

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"\0")
        except BlockingIOError:
            return  # a full pipe wakes as well

    def _take_attached(self) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            return
        while True:
            try:
                source = self._attached.get_nowait()
            except Empty:
                return
            self._selector.register(source.child.output, selectors.EVENT_READ, source)
            if source.child.name == "publisher":
                self._publishing = source
                self._granted = 0
                self._told_gap = None

    def _read(self, source: Source) -> None:
        if source.read():
            return
        self._selector.unregister(source.child.output)
        self._barriers.pop(source, None)
        if source is self._publishing:
            self._publishing = None
        if (account := self._receiver_accounts.pop(source, None)) is not None:
            account.close()
        source.ended.set()  # from here on the pipes may be closed

    def _read_what_receivers_left(self) -> None:
        """The processes have ended. What is still in their pipes is accepted, and what they did not pass on counted."""
        self._take_attached()
        for source in list(self._receiver_accounts):
            while not source.ended.is_set() and source.child.exit_code() is not None:
                self._read(source)
        for account in self._receiver_accounts.values():
            account.close()

    def _on_receiver_frame(
        self, watch: ReceiverWatch, account: ReceiverAccount, _: Source, kind: Kind, body: bytes
    ) -> None:
        if kind is Kind.STATUS:
            status = json.loads(body)
            account.on_status(status)
            watch.on_status(status)
            self._peers.hear(watch.status.heard)
            return
        messages = decode_messages(body)
        watch.on_messages()
        account.on_messages(messages)
        self.withheld.on_received({message.topic for message in messages})
        self._writer.receive(messages)

    def _on_publisher_frame(self, source: Source, kind: Kind, body: bytes) -> None:
        if kind is Kind.SEEN:
            self._writer.see([body[start : start + _ID_BYTES] for start in range(0, len(body), _ID_BYTES)])
            return
        report: dict[str, Any] = json.loads(body)
        if kind is Kind.STATUS:
            if not source.superseded:
                self._publisher.on_status(report)
            return
        for name, handle in self._reports.items():
            if name in report and (name in _ABOUT_ROWS or not source.superseded):
                handle(source, report)

    def _on_published(self, source: Source, report: dict[str, Any]) -> None:
        self._writer.remove([(first, last) for first, last in report["published"]])
        if not source.superseded:
            self._publisher.on_published()
        self._accounts.on_batch_published(report["seconds"])

    def _on_refused(self, _: Source, report: dict[str, Any]) -> None:
        refused = report["refused"]
        code, detail = refused["code"], refused["detail"]
        self._writer.refuse(refused["position"], Refusal(code, detail, refused["letter_bytes"]))
        self._accounts.on_publish_error("poison", code)
        self._log.warning("publisher.refused", code=code, detail=detail, effect="it becomes a dead letter")

    def _on_barrier(self, source: Source, report: dict[str, Any]) -> None:
        self._barriers[source] = report["barrier"]

    def _on_error(self, _: Source, report: dict[str, Any]) -> None:
        error = report["error"]
        self._publisher.on_error(error)
        self._accounts.on_publish_error(error["class"], error["code"])

    def _on_role(self, _: Source, report: dict[str, Any]) -> None:
        role, reason = report["role"], report["reason"]
        if self._publisher.on_role(role, reason):
            self._log.info("role.changed", role=role, reason=reason, text=describe(role, reason))
        if role != "standby":
            self._pace.on_turn()
        if role == "taking_over" and reason != "renewed":
            self._accounts.on_takeover(reason)

    def _look_after_spool(self, *, at_once: bool = False) -> None:
        """Where the spool's file was deleted or replaced, everything goes on in a copy, which a new publisher reads."""
        self._looked_at = self._monotonic()
        before = self._spool.displaced
        found = self._spool.look_after(on_progress=self._tick, at_once=at_once)
        if self._spool.displaced and not before:
            self._log.error("spool.displaced", detail=self._spool.displaced, effect="it is tried again")
        if found is None:
            return
        self._accounts.on_unreadable(found.events_lost)
        aside = "" if found.set_aside is None else f"; what was there is in {found.set_aside}"
        self.rescue = Rescue(time.monotonic(), f"{found.reason}; {found.events_kept} events are in a new file{aside}")
        self._log.error("spool.rescued", detail=self.rescue.detail, events_unreadable=found.events_lost)
        if self._publishing is not None:
            self._publishing.broken = found.reason

    def _tick(self) -> None:
        self.ticked_at = self._monotonic()

    def _commit(self) -> None:
        self._writer.commit(keep_through=self._raised_limit())

    def _answer_barriers(self) -> None:
        """Tells each publisher that asked that everything it reported before is in the spool, once that is so."""
        if not self._barriers:
            return
        if self._writer.pending and not self._writer.removals_pending:
            self._commit()
        if self._writer.removals_pending:
            return
        for source, number in list(self._barriers.items()):
            if source.child.say({"verb": "barrier", "number": number}):
                del self._barriers[source]

    def _most_granted(self) -> int:
        """How many rows may be in flight: so few that a full spool still has others to drop."""
        spool = self._spool
        share = spool.max_bytes // _GRANTED_SHARE * max(1, spool.events) // max(1, spool.bytes)
        return max(1, min(_GRANTED_POSITIONS, share))

    def _tell_gap(self, child: Child) -> bool:
        """Tells the publisher of a gap before it is granted what came after it; false while it takes nothing."""
        gap = self._peers.gap
        if gap != self._told_gap and child.say({"verb": "gap", "number": gap.number, "open": gap.is_open}):
            self._told_gap = gap
        return gap == self._told_gap

    def _raised_limit(self) -> int:
        """Raises `_in_flight_through` as rows leave, and returns it.

        It never falls and does not depend on a living publisher: what a dead one had been granted may still be
        committed by Kafka, until its successor has found that out.
        """
        through = self._spool.last_position
        first = self._spool.first_position
        if first is not None:
            through = min(through, first + self._most_granted() - 1)
        self._in_flight_through = max(self._in_flight_through, through)
        return self._in_flight_through

    def _grant(self) -> None:
        """Lets the publisher read on: a bounded number of positions, which a full spool then leaves alone."""
        if self._publishing is None or not self._tell_gap(self._publishing.child):
            return
        through = self._raised_limit()
        if through > self._granted and self._publishing.child.say({"verb": "grant", "through": through}):
            self._granted = through
