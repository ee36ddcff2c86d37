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
  8. Waiting is measured by the monotonic clock, and what is counted survives the publisher process. Receipt times are
     compared with receipt times only, and are never trusted further than this member can have seen for itself.
     (A wall clock that was two hours ahead when an event arrived would delay a takeover by two hours.)
  9. Receipt times of records come from their headers: a record's own timestamp is the broker's with LogAppendTime, and
     a backlog would look as if it had just been received. One record proves nothing, since its time may be wrong: only
     several looks in a row whose records are all past this member's oldest event do. (Else: needless takeovers.)
 10. A publishing member without events still looks at the output: it cannot be fenced while it commits nothing. When it
     sees what another member has published since its own takeover, it stands by. (Else: two members say that they
     publish, and nobody notices that one of them receives nothing.)

Pure: yields commands, is sent answers. The clock and the randomness are parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from tie_forwarder.group.batch_size import MOST_ROWS
from tie_forwarder.group.commands import (
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
    Oldest,
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

MOST_BOOST = 8.0

STAY_OFF_SECONDS = 6.0
"""How long a member that has left its seat because of a gap stays off it: a standby takes a vacant seat in 3 s."""

LEAVE_EVERY_SECONDS = 30.0
"""Where connections come and go all the time, a member leaves its seat no more often than that."""

_LOOK_SECONDS = 1.0
_IDLE_LOOK_SECONDS = 3.0
_PASSED_LOOKS = 3
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
    limit: int = MOST_ROWS
    """How many rows the next transaction takes at most: fewer after a refusal, to find the refused row."""
    then_alone: bool = False
    """Whether the row after it comes alone, because Kafka refused a batch at it."""
    gap: int = 0
    """The number of the last gap for which nothing is left to do."""
    left: bool = False
    """Whether it has left its seat because of a gap, and nobody has published since."""
    left_at: float | None = None
    """When it last left its seat because of a gap, by the monotonic clock, which is one for the whole machine."""
    still_seconds: float = field(default=0.0, compare=False)
    """For how long its looks have shown no progress of the output; time without a look, as in an outage, counts not."""
    waiting_since: float | None = field(default=None, compare=False)
    """When the spool was first seen not to be empty, by the monotonic clock, which is one for the whole machine."""
    oldest: int = field(default=0, compare=False)
    """The position of the oldest row at the last look."""
    oldest_since: float = field(default=0.0, compare=False)
    """When that row was first seen to be the oldest, by the monotonic clock."""


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

    @property
    def live_seconds(self) -> float:
        """How old an event in the output may be so that a member that is up must have received it as well."""
        return min(60.0, 6 * self.takeover_after)


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
        self.name = name
        self._rules = rules
        self.memory = memory
        self._monotonic = monotonic
        self._now_ms = now_ms
        self._uniform = uniform
        self._lowest_received_ms: int | None = None
        self._passed_looks = 0
        self._others_wrote = False
        self._empty_at = monotonic()
        self._progress_at = monotonic() - memory.still_seconds
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
        self.memory.left_at = self._monotonic()
        self._made_progress()
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
                self._made_progress()
            self.memory.still_seconds = self._still_seconds
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
        self._made_progress()  # if this fails, its patience begins again
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
        """Publishes until an error ends this life.

        Returns `Reason.RENEWED` after a refused record, to continue with a new producer; after a gap `Reason.RESUMED`,
        to leave its seat; and None when another member has published meanwhile, to stand by.

        A refused batch is cut before its first failed row; that row then comes alone, on a new producer, and only if it
        is refused again is it the one. Then the batches grow again.
        """
        yield Show(Role.PUBLISHING)
        memory = self.memory
        looked_at = self._monotonic()
        while True:
            if self._acts_on((yield AskGap())):
                yield from self._step_down()
                yield from self._read_on()
                memory.reigned = memory.reigned and not self._others_wrote
                return None if self._others_wrote else Reason.RESUMED
            result = yield PublishBatch(memory.limit)
            if isinstance(result, Committed):
                memory.reigned = True
                memory.boost = 1.0
                memory.newest = self.name
                memory.limit = 1 if memory.then_alone else min(MOST_ROWS, memory.limit * 2)
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
                if result.outstanding or self._monotonic() - looked_at < _IDLE_LOOK_SECONDS:
                    continue
                if (yield from self._glance()):
                    looked_at = self._monotonic()
                if self._others_wrote:
                    memory.reigned = False
                    yield from self._step_down()
                    return None

    def _glance(self) -> Step:
        """Reads some of what the output has beyond this member's own records; whether that was all of it."""
        yield MarkEnd(high_watermark=False)
        if (yield ReachedMark()):
            return True
        self._note((yield ReadTail()))
        return False

    def _step_down(self) -> Step:
        self.memory.waiting_since = None
        yield DropProducer()
        yield Show(Role.STANDBY)

    def _read_on(self) -> Step:
        """Reads on to the last stable offset and lets the main process apply it."""
        yield MarkEnd(high_watermark=False)
        while not (yield ReachedMark()):
            self._note((yield ReadTail()))
        yield Barrier()

    def _publishes_steadily(self, *, since: float) -> bool:
        """Whether another member has been publishing for so long that nobody is fencing anybody any more."""
        now = self._monotonic()
        return now - since > 2 * self._rules.takeover_after and self._still_seconds < self._rules.takeover_after / 2

    @property
    def _still_seconds(self) -> float:
        """For how long the output has made no progress."""
        return self._monotonic() - self._progress_at

    def _made_progress(self) -> None:
        self._progress_at = self._monotonic()
        self.memory.still_seconds = 0.0

    def _due_at_start(self) -> Reason | None:
        if self.memory.left:
            return None
        if self.memory.reigned:
            return None if self._others_wrote else Reason.RESUMED
        # Where nothing new was found, what earlier processes knew decides: else every restart would take over from a
        # member that is about to commit its first batch, or has nothing to publish.
        fenced = self.memory.boost > 1.0
        return Reason.STARTED if not fenced and self.memory.newest in ("", self.name) else None

    def _due(self) -> Step:
        """Why this member should take over now; None when it should not."""
        oldest = yield OldestEvent()
        waiting = self._waiting_seconds(oldest)
        if oldest is None:
            return None
        if self._is_passed_by(oldest):
            return Reason.PASSED_BY
        held_up = min(waiting, self._still_seconds)
        if held_up > self._patience:
            return Reason.SILENT
        stays_off = self.memory.left and self._monotonic() < self._stays_off_until
        if held_up > self._vacant_after and not stays_off and (yield SeatIsVacant()):
            return Reason.VACANT
        return None

    def _waiting_seconds(self, oldest: Oldest | None) -> float:
        """For how long events have waited, as far as this member's own looks at the spool show.

        Between two looks the time of receipt may say it more precisely.
        """
        memory, now = self.memory, self._monotonic()
        if oldest is None:
            self._empty_at = now
            memory.waiting_since, memory.oldest = None, 0
            self._passed_looks, self._lowest_received_ms = 0, None
            return 0.0
        if memory.waiting_since is None:
            memory.waiting_since = now
        if memory.oldest != oldest.position:
            memory.oldest, memory.oldest_since, self._passed_looks = oldest.position, now, 0
        age = (self._now_ms() - oldest.received_at_ms) / 1000
        return max(now - memory.waiting_since, min(age, now - self._empty_at))

    def _is_passed_by(self, oldest: Oldest) -> bool:
        """Whether the publishing member has passed by the oldest row, as several looks in a row have shown.

        The row cannot have been received later than it was first seen, whatever its time of receipt says.
        """
        lowest, self._lowest_received_ms = self._lowest_received_ms, None
        seen_for = self._monotonic() - self.memory.oldest_since
        received_at_ms = min(oldest.received_at_ms, self._now_ms() - int(seen_for * 1000))
        if lowest is not None:
            passed = lowest - received_at_ms > self._rules.passed_by_after * 1000
            self._passed_looks = self._passed_looks + 1 if passed else 0
        return self._passed_looks >= _PASSED_LOOKS

    def _note(self, records: list[Seen]) -> None:
        now_ms = self._now_ms()
        credible_ms = now_ms + int(self._rules.passed_by_after * 1000)
        for record in records:
            self.memory.newest = record.forwarder
            self._others_wrote = self._others_wrote or record.forwarder != self.name
            if record.received_at_ms is not None and record.received_at_ms <= credible_ms:
                received_at_ms = min(record.received_at_ms, now_ms)
                if self._lowest_received_ms is None or received_at_ms < self._lowest_received_ms:
                    self._lowest_received_ms = received_at_ms
        if records:
            self._made_progress()

    def fenced(self) -> None:
        """Another member has taken over: this one will stand by, more patiently."""
        self.memory.reigned = False
        self.memory.waiting_since = None
        self._made_progress()
        self.memory.boost = min(MOST_BOOST, self.memory.boost * 1.5)
