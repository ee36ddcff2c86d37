"""The flow: one thread that reads both children, and is the only one that changes the spool.

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
from queue import Empty, SimpleQueue
from typing import Any

from tie_forwarder.children.child import Child
from tie_forwarder.children.frames import Kind, decode_messages
from tie_forwarder.intake import Intake
from tie_forwarder.memory import Thrift
from tie_forwarder.records.record import Record
from tie_forwarder.spool import Changes, CorruptRow, Incoming, Outcome, Spool
from tie_forwarder.supervisor.accounts import Accounts
from tie_forwarder.supervisor.arrivals import Arrivals
from tie_forwarder.supervisor.pace import Pace
from tie_forwarder.supervisor.publisher_watch import PublisherWatch
from tie_forwarder.supervisor.receiver_watch import ReceiverWatch
from tie_forwarder.supervisor.refusals import dead_letter_of
from tie_forwarder.supervisor.source import Source
from tie_forwarder.supervisor.window import Window

_GRANTED_POSITIONS = 6_000
_GRANTED_SHARE = 4
_IDLE_SECONDS = 0.5
_RETRY_SECONDS = 1.0
_ID_BYTES = 16


class Flow:
    """Reads, accepts, settles. `run` is the thread; `attach_*`, `stop` and the properties are for the main thread."""

    def __init__(
        self,
        *,
        spool: Spool,
        intake: Intake,
        window: Window,
        accounts: Accounts,
        receiver: ReceiverWatch,
        publisher: PublisherWatch,
        commit_interval_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._window = window
        self._arrivals = Arrivals(intake=intake, window=window, accounts=accounts)
        self._accounts = accounts
        self._receiver = receiver
        self._publisher = publisher
        self._pace = Pace(interval_seconds=commit_interval_seconds, monotonic=monotonic)
        self._monotonic = monotonic
        self._reports: dict[str, Callable[[dict[str, Any]], None]] = {
            "published": self._on_published,
            "refused": self._on_refused,
            "corrupt": lambda report: self._corrupt.extend(report["corrupt"]),
            "role": self._on_role,
            "remember": lambda report: self._publisher.on_remember(report["remember"]),
            "barrier": lambda report: self._barriers.append(report["barrier"]),
            "compacted": lambda report: self._publisher.on_compacted(report["compacted"], report["remedy"]),
            "unlisted": lambda report: self._publisher.on_unlisted(report["unlisted"]),
            "error": self._on_error,
        }
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._attached: SimpleQueue[Source] = SimpleQueue()
        self._stop = threading.Event()
        self._incoming: list[Incoming] = []
        self._published: list[tuple[int, int]] = []
        self._refused: dict[int, tuple[str, str]] = {}
        self._newly_dead: list[Record] = []
        self._corrupt: list[int] = []
        self._seen: list[bytes] = []
        self._barriers: list[int] = []
        self._removals_pending = False
        self._committed_at = 0.0
        self._publishing_child: Child | None = None
        self._granted = 0
        self._thrift = Thrift()
        self.ticked_at = monotonic()
        """When the last turn ended, by the monotonic clock: the thread's progress."""
        self.disk_error = ""
        """What the disk said at the last commit; empty when all was written."""

    def attach_receiver(self, child: Child) -> Source:
        """From now on this child's messages are read."""
        return self._attach(Source(child=child, on_frame=self._on_receiver_frame))

    def attach_publisher(self, child: Child) -> Source:
        """From now on this child gets the grants, and its reports are read."""
        return self._attach(Source(child=child, on_frame=self._on_publisher_frame))

    @property
    def idle(self) -> bool:
        """Whether everything that was read is on the disk."""
        return not self._pending

    def stop(self) -> None:
        """Lets the thread end after a last commit."""
        self._stop.set()
        self._wake()

    def run(self) -> None:
        """The thread's body."""
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        while not self._stop.is_set():
            self.run_once()
        self._commit()
        self._selector.close()

    def run_once(self) -> None:
        """One turn: waits for something to read or to commit, reads it, and commits when that is due."""
        for key, _ in self._selector.select(self._patience()):
            if key.data is None:
                self._take_attached()
            else:
                self._read(key.data)
        if self._pending and self._monotonic() - self._committed_at >= self._pace.interval_seconds:
            self._commit()
        elif not self._pending:
            self._spool.trim()
            self._thrift.look(2 * self._spool.last_position - self._spool.events)
            self._accounts.on_idle(self._spool.events)
        self._grant()
        self._answer_barriers()
        self._receiver.on_listened()
        self._publisher.on_listened()
        self.ticked_at = self._monotonic()

    @property
    def _pending(self) -> bool:
        return bool(self._arrivals or self._incoming or self._published or self._seen or self._refused or self._corrupt)

    def _patience(self) -> float:
        if not self._pending:
            return _IDLE_SECONDS
        return max(0.0, self._committed_at + self._pace.interval_seconds - self._monotonic())

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
            if source.child.name == "receiver":
                self._accounts.on_receiver_started()
            if source.child.name == "publisher":
                self._publishing_child = source.child
                self._granted = 0
                self._barriers = []

    def _read(self, source: Source) -> None:
        source.read()
        if source.ended.is_set():
            self._selector.unregister(source.child.output)
            if source.child is self._publishing_child:
                self._publishing_child = None

    def _on_receiver_frame(self, kind: Kind, body: bytes) -> None:
        if kind is Kind.STATUS:
            status = json.loads(body)
            self._accounts.on_receiver_status(status)
            self._receiver.on_status(status)
            return
        messages = decode_messages(body)
        self._receiver.on_messages()
        self._accounts.on_messages(messages)
        self._arrivals.hold(messages)
        if not self._pace.holds:
            self._incoming += self._arrivals.take()

    def _on_publisher_frame(self, kind: Kind, body: bytes) -> None:
        if kind is Kind.SEEN:
            self._on_seen([body[start : start + _ID_BYTES] for start in range(0, len(body), _ID_BYTES)])
            return
        report: dict[str, Any] = json.loads(body)
        if kind is Kind.STATUS:
            self._publisher.on_status(report)
            return
        for name, handle in self._reports.items():
            if name in report:
                handle(report)

    def _on_seen(self, event_ids: list[bytes]) -> None:
        """Events stand in the output: first the window remembers them, then they leave the spool."""
        self._window.remember(event_ids, arrived=False)
        self._seen += event_ids
        self._pace.on_seen()

    def _on_published(self, report: dict[str, Any]) -> None:
        self._published += [(first, last) for first, last in report["published"]]
        self._publisher.on_published()
        self._accounts.on_batch_published(report["seconds"])

    def _on_refused(self, report: dict[str, Any]) -> None:
        refused = report["refused"]
        self._refused[refused["position"]] = (refused["code"], refused["detail"])
        self._accounts.on_publish_error("poison", refused["code"])

    def _on_error(self, report: dict[str, Any]) -> None:
        error = report["error"]
        self._publisher.on_error(error)
        self._accounts.on_publish_error(error["class"], error["code"])

    def _on_role(self, report: dict[str, Any]) -> None:
        self._publisher.on_role(report["role"], report["reason"])
        if report["role"] != "standby":
            self._pace.on_turn()
        if report["role"] == "taking_over" and report["reason"] != "renewed":
            self._accounts.on_takeover(report["reason"])

    def _commit(self) -> None:
        self._incoming += self._arrivals.take()
        if not self._incoming and not self._spool.events:
            self._seen = []  # none of them can be in the spool
        if self._pending:
            self._write()
        else:
            self._committed_at = self._monotonic()
            self._accounts.on_idle(self._spool.events)

    def _write(self) -> None:
        changes = self._changes()
        started = self._monotonic()
        outcome = self._spool.apply(changes)
        self._committed_at = self._monotonic()
        self.disk_error = outcome.error
        self._accounts.on_commit(changes, outcome, self._committed_at - started, self._spool.events)
        if outcome.replaced:
            self._accounts.on_dead_lettered(self._newly_dead)
        self._remember(outcome)
        self._incoming = []
        self._removals_pending = outcome.removals_pending
        if outcome.removals_pending:
            self._committed_at += _RETRY_SECONDS
            return
        self._published = []
        self._seen = []
        self._refused = {}
        self._corrupt = []

    def _changes(self) -> Changes:
        replaced = []
        self._newly_dead = []
        set_aside = [(position, "corrupt") for position in self._corrupt]
        for position, (code, detail) in self._refused.items():
            try:
                row = self._spool.fetch(position)
            except CorruptRow:
                set_aside.append((position, "corrupt"))
                continue
            if row is not None:
                letter = dead_letter_of(row.record, code=code, detail=detail)
                if letter is None:
                    set_aside.append((position, "refused"))
                else:
                    replaced.append((position, letter))
                    if row.record.destination != letter.destination:
                        self._newly_dead.append(letter)
        return Changes(
            incoming=self._incoming,
            published=self._published,
            seen=self._seen,
            replaced=replaced,
            set_aside=set_aside,
            keep_through=self._granted,
        )

    def _remember(self, outcome: Outcome) -> None:
        for settled in (outcome.published, outcome.seen):
            self._window.remember((row.event_id for row in settled), arrived=True)

    def _answer_barriers(self) -> None:
        """Tells the publisher that everything it reported before is in the spool, once that is so."""
        if not self._barriers:
            return
        if self._pending:
            self._commit()
        if self._removals_pending:
            return
        child = self._publishing_child
        if child is None or child.say({"verb": "barrier", "number": self._barriers[-1]}):
            self._barriers = []

    def _most_granted(self) -> int:
        """How many rows may be in flight: so few that a full spool still has others to drop."""
        spool = self._spool
        share = spool.max_bytes // _GRANTED_SHARE * max(1, spool.events) // max(1, spool.bytes)
        return max(1, min(_GRANTED_POSITIONS, share))

    def _grant(self) -> None:
        """Lets the publisher read on: a bounded number of positions, which a full spool then leaves alone."""
        if self._publishing_child is None:
            return
        first = self._spool.first_position
        through = self._spool.last_position
        if first is not None:
            through = min(through, first + self._most_granted() - 1)
        if through > self._granted and self._publishing_child.say({"verb": "grant", "through": through}):
            self._granted = through
