"""The rules with one of them broken: what a simulation that is worth its time must notice."""

from __future__ import annotations

from dataclasses import dataclass, field

from tie_forwarder.group.commands import AskGap, Oldest, Reason, Seen
from tie_forwarder.group.member import Member, Rules, Step


class _NeverPassedBy(Rules):
    @property
    def passed_by_after(self) -> float:
        return 1e9


class _TakesOverAtOnceWhenFenced(Member):
    def fenced(self) -> None:
        """Goes on as if nobody had taken over."""

    def _due_at_start(self) -> Reason | None:
        return Reason.RESUMED if self.memory.reigned else super()._due_at_start()


class _LooksOnce(Member):
    _began = False

    def _read_on(self) -> Step:
        if not self._began:
            self._began = True
            yield from super()._read_on()


class _NeverLeavesItsSeat(Member):
    reason = Reason.RESUMED

    def _lets_others_first(self, reason: Reason) -> Step:
        if reason is not self.reason:
            return (yield from super()._lets_others_first(reason))
        self.memory.gap = (yield AskGap()).number
        return False


class _PublishesFirstAtStart(_NeverLeavesItsSeat):
    reason = Reason.STARTED


class _WaitsByTheWallClock(Member):
    def _waiting_seconds(self, oldest: Oldest | None) -> float:
        super()._waiting_seconds(oldest)
        return 0.0 if oldest is None else (self._now_ms() - oldest.received_at_ms) / 1000


class _PassedByAtOneLook(Member):
    """Believes whatever a record says, and knows no time of receipt but that of the row."""

    _newest_received_ms = 0

    def _note(self, records: list[Seen]) -> None:
        super()._note(records)
        self._newest_received_ms = max(self._newest_received_ms, *(record.received_at_ms or 0 for record in records), 0)

    def _is_passed_by(self, oldest: Oldest) -> bool:
        return self._newest_received_ms - oldest.received_at_ms > self._rules.passed_by_after * 1000


class _NeverLooksWhenIdle(Member):
    def _glance(self) -> Step:
        yield from ()
        return True


class _NeverDueAtStart(Member):
    def _due_at_start(self) -> Reason | None:
        return None


@dataclass(frozen=True)
class Mutant:
    """A rule broken in the member, or an effect of the edges left out or done in another order."""

    name: str = ""
    member: type[Member] = Member
    rules: type[Rules] = Rules
    flags: frozenset[str] = field(default_factory=frozenset)
    margin: float | None = None
    window: float | None = None

    def has(self, flag: str) -> bool:
        """Whether this effect is left out."""
        return flag in self.flags


NONE = Mutant()


def _flag(name: str) -> Mutant:
    return Mutant(name, flags=frozenset({name}))


MUTANTS = {
    mutant.name: mutant
    for mutant in (
        _flag("mark_stable_only"),
        _flag("no_read_after_init"),
        _flag("mark_watermark_only"),
        _flag("no_barrier"),
        _flag("no_time_limit"),
        _flag("remember_first"),
        _flag("start_at_watermark"),
        _flag("no_visibility"),
        _flag("no_hanging"),
        _flag("no_jitter"),
        _flag("no_peek"),
        _flag("seeks_by_own_clock"),
        _flag("broker_timestamps"),
        _flag("late_barrier"),
        _flag("barrier_without_disk"),
        _flag("grants_forgotten"),
        _flag("same_batch_again"),
        Mutant("waits_by_wall_clock", member=_WaitsByTheWallClock),
        Mutant("passed_by_at_one_look", member=_PassedByAtOneLook),
        Mutant("never_looks_when_idle", member=_NeverLooksWhenIdle),
        Mutant("margin_zero", margin=0.0),
        Mutant("window_short", window=0.5),
        Mutant("fenced_at_once", member=_TakesOverAtOnceWhenFenced),
        Mutant("no_second_look", member=_LooksOnce),
        Mutant("never_passed_by", rules=_NeverPassedBy),
        Mutant("first_after_a_crash", member=_PublishesFirstAtStart),
        Mutant("first_when_deaf", member=_NeverLeavesItsSeat),
        Mutant("no_start_rule", member=_NeverDueAtStart),
    )
}
