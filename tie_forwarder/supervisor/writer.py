"""The one writer of the spool: everything both children reported waits here for the next commit.

That commit is the accept point of new events and the end of settled ones. Incoming messages are judged in order: does
Kafka have the event already, then what is in it. A record that Kafka refuses becomes a dead letter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tie_forwarder.events.message import Message, event_id
from tie_forwarder.events.reasons import Reason
from tie_forwarder.group.window import Arrival, Window
from tie_forwarder.intake import Accepted, Filtered, Intake
from tie_forwarder.records.dead_letter import render_refused
from tie_forwarder.records.record import Record
from tie_forwarder.records.size import batch_bytes
from tie_forwarder.spool import Changes, CorruptRow, Incoming, Outcome, Spool, merged, pack_id
from tie_forwarder.supervisor.accounts import Accounts


class Arrivals:
    """Messages in the order in which they came. One thread."""

    def __init__(self, *, intake: Intake, window: Window, accounts: Accounts) -> None:
        self._intake = intake
        self._window = window
        self._accounts = accounts
        self._held: list[Message] = []

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, messages: Sequence[Message]) -> None:
        """Keeps messages for `take`."""
        self._held += messages

    def take(self) -> list[Incoming]:
        """What is new among the held ones, decoded; the others and what is filtered are counted, and only that."""
        held, self._held = self._held, []
        found: list[Accepted] = []
        for message in held:
            name = event_id(message)
            arrival = self._window.arrive(pack_id(name))
            if arrival is not Arrival.NEW:
                self._accounts.on_known(arrival, self._intake.kind_of(message))
                continue
            accepted = self._intake.accept(message, name)
            if isinstance(accepted, Filtered):
                self._accounts.on_filtered(accepted)
                continue
            found.append(accepted)
        self._accounts.on_accepted(found)
        return [Incoming(accepted.record, accepted.detection_time) for accepted in found]


HELD_SECONDS = 0.2
"""Longer than an event takes by way of the publishing member and the tail of this one."""
_ALIVE_SECONDS = 1.0


class Pace:
    """The commit interval as it is now. One thread."""

    def __init__(self, *, interval_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval_seconds
        self._monotonic = monotonic
        self._seen_at = -_ALIVE_SECONDS

    def on_seen(self) -> None:
        """Records of another member stand in the output."""
        self._seen_at = self._monotonic()

    def on_turn(self) -> None:
        """It is this member's turn to publish."""
        self._seen_at = -_ALIVE_SECONDS

    @property
    def holds(self) -> bool:
        """Whether another member publishes, so that what arrives is held for a moment."""
        return self._monotonic() - self._seen_at < _ALIVE_SECONDS

    @property
    def interval_seconds(self) -> float:
        """How long after one commit the next one may come."""
        return max(self._interval, HELD_SECONDS) if self.holds else self._interval


_FIRST_CUT_BYTES = 900_000
_LEAST_BYTES = 64
_LENGTH_BYTES = 8
"""By how much the lengths before a value may grow with it."""


class Refusal(NamedTuple):
    """What the publisher reports of a record that Kafka refuses."""

    code: str
    detail: str
    letter_bytes: int | None
    """How large the dead letter may be as a batch of its own, as far as the publisher knows."""


def dead_letter_of(record: Record, refusal: Refusal) -> Record | None:
    """The dead letter that takes the record's place; None when even an empty one was refused.

    What is too large is cut to what the dead letters' topic takes. Where that is not known, or was refused all the
    same, it is cut below Kafka's default limit first and quartered from there. A dead letter that is refused for
    another reason than its size can go nowhere.
    """
    size = len(record.value)
    refused_before = record.destination == "dead_letter"
    if refusal.code != "too_large":
        if refused_before:
            return None
        return render_refused(record, reason=Reason.REFUSED_INVALID, detail=refusal.detail, keep_bytes=size)
    if refused_before and size == 0:
        return None
    reason, detail = Reason.REFUSED_TOO_LARGE, refusal.detail
    if refusal.letter_bytes is not None:
        empty = render_refused(record, reason=reason, detail=detail, keep_bytes=0)
        room = refusal.letter_bytes - batch_bytes(None, 0, empty.headers) - _LENGTH_BYTES
        if not refused_before or room < size:
            return render_refused(record, reason=reason, detail=detail, keep_bytes=min(size, room))
    keep = _FIRST_CUT_BYTES if size > _FIRST_CUT_BYTES else size // 4
    if keep < _LEAST_BYTES:
        keep = 0
    return render_refused(record, reason=reason, detail=detail, keep_bytes=keep)


_RETRY_SECONDS = 1.0
_MOST_UNPLACED = 500_000
"""So many ids are kept while the disk cannot even be read, which also ends every publisher within a second."""


class Writer:
    """Gathers changes and commits them together. One thread."""

    def __init__(
        self,
        *,
        spool: Spool,
        arrivals: Arrivals,
        window: Window,
        accounts: Accounts,
        pace: Pace,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._arrivals = arrivals
        self._window = window
        self._accounts = accounts
        self._pace = pace
        self._monotonic = monotonic
        self._incoming: list[Incoming] = []
        self._published: list[tuple[int, int]] = []
        self._settled: list[tuple[int, int]] = []
        self._refused: dict[int, Refusal] = {}
        self._newly_dead: list[Record] = []
        self._shortened: list[Record] = []
        self._corrupt: set[int] = set()
        self._seen: list[bytes] = []
        self._committed_at = 0.0
        self.removals_pending = False
        """Whether the disk did not take what was to be removed; it is tried again."""
        self.disk_error = ""
        """What the disk said at the last commit; empty when all was written."""

    @property
    def pending(self) -> bool:
        """Whether anything waits for the next commit."""
        removals = self._published or self._settled or self._seen or self._refused or self._corrupt
        return bool(self._arrivals or self._incoming or removals)

    @property
    def due_in_seconds(self) -> float:
        """How long the next commit may wait."""
        return max(0.0, self._committed_at + self._pace.interval_seconds - self._monotonic())

    def receive(self, messages: Sequence[Message]) -> None:
        """Messages have come from the fabric."""
        self._arrivals.hold(messages)
        if not self._pace.holds:
            self._incoming += self._arrivals.take()

    def see(self, event_ids: Sequence[bytes]) -> None:
        """Events stand in the output."""
        self._window.remember(event_ids, arrived=False)
        self._seen += event_ids
        self._pace.on_seen()

    def remove(self, published: Sequence[tuple[int, int]]) -> None:
        """The rows in these ranges, both ends included, are published."""
        self._published += published

    def refuse(self, position: int, refusal: Refusal) -> None:
        """Kafka does not take this row."""
        self._refused[position] = refusal

    def set_aside(self, corrupt: Sequence[int]) -> None:
        """These rows cannot be read."""
        self._corrupt.update(corrupt)

    def commit(self, *, keep_through: int) -> None:
        """Writes all that waits; no policy drops a row up to `keep_through`."""
        self._incoming += self._arrivals.take()
        if not self._incoming and not self._spool.events:
            self._seen = []  # none of them can be in the spool
        if self.pending:
            self._write(keep_through)
        else:
            self._committed_at = self._monotonic()
            self._accounts.on_idle(self._spool.events)

    def _write(self, keep_through: int) -> None:
        changes = self._changes(keep_through)
        started = self._monotonic()
        outcome = self._spool.apply(changes)
        self._committed_at = self._monotonic()
        self.disk_error = outcome.error
        self._accounts.on_commit(changes, outcome, self._committed_at - started, self._spool.events)
        if outcome.replaced:
            self._accounts.on_dead_lettered(self._newly_dead, shortened=self._shortened)
        self._remember(outcome)
        self._incoming = []
        self.removals_pending = outcome.removals_pending
        if outcome.removals_pending:
            self._committed_at += _RETRY_SECONDS
            self._condense()
            return
        self._published = []
        self._settled = []
        self._seen = []
        self._refused = {}
        self._corrupt = set()

    def _condense(self) -> None:
        """Keeps what is to be removed as ranges of the spool's own rows: so it has a bound, however long this lasts."""
        self._published = merged(self._published)
        positions = self._spool.positions_of(self._seen)
        if positions is not None:
            self._settled = merged([*self._settled, *((position, position) for position in positions)])
            self._seen = []
        elif len(self._seen) > _MOST_UNPLACED:
            raise OSError(self.disk_error)  # the next process reads the output again

    def _changes(self, keep_through: int) -> Changes:
        replaced = []
        self._newly_dead, self._shortened = [], []
        set_aside = [(position, "corrupt") for position in sorted(self._corrupt)]
        for position, refusal in self._refused.items():
            try:
                row = self._spool.fetch(position)
            except CorruptRow:
                set_aside.append((position, "corrupt"))
                continue
            if row is not None:
                letter = dead_letter_of(row.record, refusal)
                if letter is None:
                    set_aside.append((position, "refused"))
                else:
                    replaced.append((position, letter))
                    new = row.record.destination != letter.destination
                    (self._newly_dead if new else self._shortened).append(letter)
        return Changes(
            incoming=self._incoming,
            published=self._published,
            settled=self._settled,
            seen=self._seen,
            replaced=replaced,
            set_aside=set_aside,
            keep_through=keep_through,
        )

    def _remember(self, outcome: Outcome) -> None:
        for settled in (outcome.published, outcome.seen):
            self._window.remember((row.event_id for row in settled), arrived=True)
