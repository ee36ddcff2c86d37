"""The rules of a group, by which any number of forwarders publish each event once with nothing but the output topics.

All members share one transactional id. Each receives everything and has its own spool; one *publishes*, the others
*stand by*: they read the output and take out of their spools what stands there. There is no lease and no election: the
output says whether somebody publishes, and Kafka's fencing lets at most one of them commit.

Invariants, each with the accident that its absence causes:
  1. Never publish before the output has been read to the high watermark as it was after the producer's initialisation.
     (Reading to the last stable offset alone misses what stands behind a foreign open transaction: duplicates.)
  2. Before the initialisation read no further than the last stable offset: a dead publisher's open transaction holds
     it back until the initialisation ends that transaction.
  3. A row leaves the spool only after a proven commit whose records readers can see, or when it was seen committed.
     First the window remembers the id, then the row goes. (A commit that has returned may still come to nothing: a
     cluster that is killed at that moment can lose the end of the transaction, and the next abort by the same id then
     ends both: loss.)
  4. A transaction that hangs like that holds the last stable offset back for good, and no initialisation ends it: then
     an empty one by the same id, over the same partitions, is committed. Committing is right whatever was decided:
     nobody can have published its events again, since nobody gets past it to the mark. (Else: nobody ever publishes.)
  5. A producer is never used again after an error, and a commit with an unchecked or failed future is none.
  6. "An error, so take over at once" would make two members fence each other for ever: whoever is fenced stands by, and
     more patiently each time.
  7. A member that may have missed events which another member has (a `Gap`) lets that one publish first: it leaves the
     seat and stays off it for a bounded time. (Else it publishes newer events at once, and the missed ones follow 30 s
     later, out of order.) It does so once for each gap and not all the time, and never leaves a seat on which somebody
     else has published.

Pure: yields commands, is sent answers. The clock and the randomness are parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from tie_forwarder.publisher.commands import (
    AskGap,
    Barrier,
    Command,
    CommitHanging,
    Committed,
    DropProducer,
    Gap,
    Hidden,
    Idle,
    LeaveSeat,
    MarkEnd,
    OldestEvent,
    OpenProducer,
    PeekBeyond,
    PublishBatch,
    ReachedMark,
    ReadTail,
    Reason,
    RefusedAlone,
    Role,
    SeatIsVacant,
    SeekTail,
    Seen,
    Show,
    Suspected,
)

Life = Generator[Command, Any, None]
Step = Generator[Command, Any, Any]

FIRST_BATCH_ROWS = 200
BATCH_ROWS = 1_000
MOST_BOOST = 8.0

STAY_OFF_SECONDS = 6.0
"""How long a member that has left its seat because of a gap stays off it: a standby takes a vacant seat in 3 s."""

LEAVE_EVERY_SECONDS = 30.0
"""Where connections come and go all the time, a member leaves its seat no more often than that."""

_LOOK_SECONDS = 1.0
_HANGING_SECONDS = 2.0
"""Longer than Kafka takes to end a transaction that it knows of."""


@dataclass
class Memory:
    """What a member keeps from one producer to the next, and its main process from one process to the next."""

    reigned: bool = False
    """Whether it has committed since it last took over, and was not fenced since."""
    boost: float = 1.0
    """How much more patient it is for having been fenced."""
    newest: str = ""
    """Who published the newest record that it knows of; empty while it knows of none."""
    limit: int = FIRST_BATCH_ROWS
    """How many rows the next transaction takes at most."""
    then_alone: bool = False
    """Whether the row after it comes alone, because Kafka refused a batch at it."""
    gap: int = 0
    """The number of the last gap for which nothing is left to do."""
    left: bool = False
    """Whether it has left its seat because of a gap, and nobody has published since."""
    left_at: float | None = None
    """When it last left its seat because of a gap, by the monotonic clock, which is one for the whole machine."""


@dataclass(frozen=True)
class Rules:
    """The times of a group, in seconds."""

    takeover_after: float
    """T: how long the output may stand still while events wait."""

    @property
    def passed_by_after(self) -> float:
        """Tp: by how much the output may be ahead of my oldest event.

        Well above T, or two members that are each partly deaf take over from each other twice as often.
        """
        return 3 * self.takeover_after


class Member:
    """One member's life, from the start of its publisher process to the first error, which ends it."""

    def __init__(
        self,
        *,
        name: str,
        rules: Rules,
        memory: Memory,
        monotonic: Callable[[], float],
        now_ms: Callable[[], int],
        uniform: Callable[[float, float], float],
    ) -> None:
        self._name = name
        self._rules = rules
        self.memory = memory
        self._monotonic = monotonic
        self._now_ms = now_ms
        self._uniform = uniform
        self._newest_received_ms = 0
        self._others_wrote = False
        self._progress_at = monotonic()
        self._patience = self._vacant_after = self._stays_off_until = 0.0

    def life(self) -> Life:
        """The whole life. Ends only by an exception thrown into it: `Fenced`, `Leaving`, or an error of Kafka."""
        yield Show(Role.STANDBY)
        yield SeekTail()
        yield from self._read_on()
        reason = self._due_at_start()
        while True:
            if reason is None or (yield from self._lets_others_first(reason)):
                reason = yield from self._stand_by()
            yield from self._take_over(reason)
            reason = yield from self._publish()

    def _lets_others_first(self, reason: Reason) -> Step:
        """Leaves the seat where there is a gap not yet dealt with; returns whether it did.

        A member that has just started and knows of no record does not: the seat may be another member's.
        """
        gap = yield AskGap()
        acts, self.memory.gap = self._acts_on(gap), gap.number
        if not acts or (reason is Reason.STARTED and not self.memory.newest):
            return False
        self.memory.reigned = self._others_wrote = False
        self.memory.left = True
        yield LeaveSeat()
        self.memory.left_at = self._progress_at = self._monotonic()
        return True

    def _acts_on(self, gap: Gap) -> bool:
        """Whether this gap is not dealt with yet. It is ignored if this member left its seat shortly before."""
        left_at = self.memory.left_at
        if left_at is not None and self._monotonic() - left_at < LEAVE_EVERY_SECONDS:
            self.memory.gap = gap.number
        return gap.number != self.memory.gap

    def _stand_by(self) -> Step:
        """Reads the output until it is time to take over; returns the reason."""
        spread = self._uniform(1.0, 1.5)
        began_at = self._monotonic()
        self._patience = self._rules.takeover_after * spread * self.memory.boost
        self._vacant_after = self._uniform(0.5, 1.5)
        self._stays_off_until = began_at + STAY_OFF_SECONDS
        looked_at = self._monotonic()
        while True:
            self._note((yield ReadTail()))
            if self._monotonic() - looked_at < _LOOK_SECONDS:
                continue
            looked_at = self._monotonic()
            self.memory.left = self.memory.left and not self._others_wrote
            gap = yield AskGap()
            if gap.is_open:
                self._stays_off_until = looked_at + STAY_OFF_SECONDS
            if self.memory.boost > 1.0 and self._publishes_steadily(since=began_at):
                self.memory.boost = 1.0
                self._patience = self._rules.takeover_after * spread
            if (yield PeekBeyond()):
                self._progress_at = self._monotonic()
            if (yield from self._due()) is None:
                continue
            yield from self._read_on()
            reason = yield from self._due()
            if reason is not None:
                # Whoever else has the events of this gap had its chance to publish them.
                self.memory.gap = gap.number
                return reason

    def _take_over(self, reason: Reason) -> Step:
        """Fences the others, and reads the output as it then is to its very end."""
        yield Show(Role.TAKING_OVER, reason)
        yield OpenProducer()
        yield MarkEnd(high_watermark=True)
        moved_at: float | None = self._monotonic()
        while not (yield ReachedMark()):
            records = yield ReadTail()
            self._note(records)
            if records:
                moved_at = self._monotonic()
            elif moved_at is not None and self._monotonic() - moved_at > _HANGING_SECONDS:
                moved_at = None  # once is enough: what still holds back then is somebody else's
                yield CommitHanging()
        yield Barrier()
        self._others_wrote = self.memory.left = False

    def _publish(self) -> Step:
        """Publishes until an error ends this life; returns after a refused record, to go on with a new producer.

        Few rows at first, then many. A refused batch is cut before its first failed row; that row then comes alone, on
        a new producer, and only if it is refused again is it the one. Then the batches grow again.

        Returns also after a gap: the reason to go on, or None where another member has published meanwhile.
        """
        yield Show(Role.PUBLISHING)
        memory = self.memory
        while True:
            if self._acts_on((yield AskGap())):
                yield DropProducer()
                yield Show(Role.STANDBY)
                yield from self._read_on()
                if not self._others_wrote:
                    return Reason.RESUMED
                memory.reigned = False
                return None
            result = yield PublishBatch(memory.limit)
            if isinstance(result, Committed):
                memory.reigned = True
                memory.boost = 1.0
                memory.newest = self._name
                memory.limit = 1 if memory.then_alone else min(BATCH_ROWS, memory.limit * 2)
                memory.then_alone = False
            elif isinstance(result, (Suspected, RefusedAlone)):
                before = result.before if isinstance(result, Suspected) else 0
                memory.limit = max(1, before)
                memory.then_alone = before > 0
                yield DropProducer()
                return Reason.RENEWED
            elif isinstance(result, Hidden):
                yield CommitHanging()
            else:
                assert isinstance(result, Idle)

    def _read_on(self) -> Step:
        """Reads on to the last stable offset and lets the main process apply it."""
        yield MarkEnd(high_watermark=False)
        while not (yield ReachedMark()):
            self._note((yield ReadTail()))
        yield Barrier()

    def _publishes_steadily(self, *, since: float) -> bool:
        """Whether another member has been publishing for so long that nobody is fencing anybody any more."""
        now = self._monotonic()
        return now - since > 2 * self._rules.takeover_after and now - self._progress_at < self._rules.takeover_after / 2

    def _due_at_start(self) -> Reason | None:
        if self.memory.left:
            return None
        if self.memory.reigned:
            return None if self._others_wrote else Reason.RESUMED
        # Where nothing new was found, what earlier processes knew decides: else every restart would take over from a
        # member that is about to commit its first batch, or has nothing to publish.
        fenced = self.memory.boost > 1.0
        return Reason.STARTED if not fenced and self.memory.newest in ("", self._name) else None

    def _due(self) -> Step:
        """Why this member should take over now; None when it should not."""
        oldest_ms = yield OldestEvent()
        if oldest_ms is None:
            return None
        if self._newest_received_ms - oldest_ms > self._rules.passed_by_after * 1000:
            return Reason.PASSED_BY
        waiting = (self._now_ms() - oldest_ms) / 1000
        if waiting > self._patience and self._monotonic() - self._progress_at > self._patience:
            return Reason.SILENT
        stays_off = self.memory.left and self._monotonic() < self._stays_off_until
        if waiting > self._vacant_after and not stays_off and (yield SeatIsVacant()):
            return Reason.VACANT
        return None

    def _note(self, records: list[Seen]) -> None:
        for record in records:
            self.memory.newest = record.forwarder
            self._newest_received_ms = max(self._newest_received_ms, record.received_at_ms)
            self._others_wrote = self._others_wrote or record.forwarder != self._name
        if records:
            self._progress_at = self._monotonic()

    def fenced(self) -> None:
        """Another member has taken over: this one will stand by, more patiently."""
        self.memory.reigned = False
        self.memory.boost = min(MOST_BOOST, self.memory.boost * 1.5)
