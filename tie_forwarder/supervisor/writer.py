"""The one writer of the spool: what both children have told waits here for the next commit, which is the accept point.

Owns: the order of things. First the window remembers an event, then it leaves the spool; a message is judged as late as
possible, so that one that stands in the output by then is neither decoded nor written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tie_forwarder.events.message import Message
from tie_forwarder.records.record import Record
from tie_forwarder.spool import Changes, CorruptRow, Incoming, Outcome, Spool, merged
from tie_forwarder.supervisor.accounts import Accounts
from tie_forwarder.supervisor.arrivals import Arrivals
from tie_forwarder.supervisor.pace import Pace
from tie_forwarder.supervisor.refusals import Refusal, dead_letter_of
from tie_forwarder.supervisor.window import Window

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
