"""The rules with one of them broken: what a simulation that is worth its time must notice."""

from __future__ import annotations

from dataclasses import dataclass, field

from tie_forwarder.publisher.commands import AskGap, Reason
from tie_forwarder.publisher.member import Member, Rules, Step


class _NeverPassedBy(Rules):
    @property
    def passed_by_after(self) -> float:
        return float("inf")


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
