"""All of it: random schedules with the real rules, and the same with one rule broken each, which must be noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import partial

from tests.simulation.measures import MEASURES, PLANS
from tests.simulation.mutants import MUTANTS, NONE
from tests.simulation.schedule import Outcome, simulate

SCHEDULES = 10_000
RECOVERY_BOUND_SECONDS = 45.0
TAKEOVERS_BOUND = 3.0
"""So many takeovers a schedule has on average at most."""

CAUGHT_BY_THE_JUDGE = {
    "mark_stable_only": 1_000,
    "no_read_after_init": 200,
    "no_barrier": 200,
    "no_time_limit": 3_000,
    "remember_first": 1_500,
    "start_at_watermark": 2_000,
    "no_visibility": 3_000,
    "no_hanging": 500,
    "margin_zero": 500,
    "window_short": 500,
    "late_barrier": 200,
    "barrier_without_disk": 1_500,
    "grants_forgotten": 20,
    "same_batch_again": 20,
    "seeks_by_own_clock": 100,
    "never_looks_when_idle": 200,
}
"""A mutant, and within how many seeds it loses or doubles an event, or does not come to an end."""

CAUGHT_BY_A_MEASURE = {
    "fenced_at_once": 1.4,
    "no_peek": 2.0,
    "never_passed_by": 2.0,
    "no_start_rule": 2.0,
    "mark_watermark_only": 1.5,
    "no_second_look": 1.5,
    "no_jitter": 1.1,
    "first_after_a_crash": 5.0,
    "first_when_deaf": 5.0,
    "waits_by_wall_clock": 1.5,
    "broker_timestamps": 1.3,
    "passed_by_at_one_look": 1.2,
}
"""A mutant, and how many times the real rules' figure it must show."""

_AT_ONCE = 100


def explore(processes: Executor, *, schedules: int) -> Iterator[Outcome]:
    """The outcomes of the first so many seeds, in their order."""
    yield from processes.map(simulate, range(schedules), chunksize=_AT_ONCE)


def fault_of(outcome: Outcome) -> str:
    """What is wrong with an outcome of the real rules, with the command that shows it; empty when nothing is."""
    what = ""
    if outcome.complaints:
        what = str(outcome.complaints[:3])
    elif outcome.recovery_seconds > RECOVERY_BOUND_SECONDS:
        what = f"recovers in {outcome.recovery_seconds:.1f} s"
    return what and f"python -m tests.simulation {outcome.seed}  # {what}"


def first_seed_caught(name: str, processes: Executor) -> int | None:
    """The first seed at which the judge complains of a mutant; None when none does within the limit."""
    seeds = CAUGHT_BY_THE_JUDGE[name]
    for start in range(0, seeds, _AT_ONCE):
        batch = range(start, min(start + _AT_ONCE, seeds))
        for seed, complaints in zip(batch, processes.map(partial(_complaints, name), batch, chunksize=10), strict=True):
            if complaints:
                return seed
    return None


def complaints_of_the_real_rules(name: str, processes: Executor) -> list[str]:
    """What the judge says of the real rules where a mutant has plans of its own; nothing, or the plans are wrong."""
    seeds = range(CAUGHT_BY_THE_JUDGE[name]) if name in PLANS else range(0)
    found = processes.map(partial(_complaints, name, real=True), seeds, chunksize=10)
    return [complaint for complaints in found for complaint in complaints]


def figures(name: str) -> tuple[float, float]:
    """What the real rules cost in a measure, and what the mutant costs."""
    return MEASURES[name].of(NONE), MEASURES[name].of(MUTANTS[name])


def _complaints(name: str, seed: int, *, real: bool = False) -> list[str]:
    plan: Callable[[int], object] | None = PLANS.get(name)
    drawn = PLANS[name](seed) if plan is not None else None
    return simulate(seed, plan=drawn, mutant=NONE if real else MUTANTS[name]).complaints
