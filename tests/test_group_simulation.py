"""Thousands of random schedules of faults against the rules of a group, and the same with one rule broken each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial

import pytest

from tests.simulation.measures import MEASURES
from tests.simulation.mutants import MUTANTS, NONE
from tests.simulation.schedule import Outcome, simulate

SCHEDULES = int(os.environ.get("TIE_FORWARDER_SCHEDULES", "10000"))
"""More of them for a night: the seeds count from 0."""
RECOVERY_BOUND_SECONDS = 45.0
TAKEOVERS_BOUND = 3.0

# A mutant, and within how many seeds it loses or doubles an event.
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
}

# A mutant, and how many times the real rules' figure it must show.
CAUGHT_BY_A_MEASURE = {
    "fenced_at_once": 1.4,
    "no_peek": 2.0,
    "never_passed_by": 2.0,
    "no_start_rule": 2.0,
    "mark_watermark_only": 1.5,
    "no_second_look": 1.1,
    "no_jitter": 1.1,
    "first_after_a_crash": 5.0,
    "first_when_deaf": 5.0,
}


def run(seed: int) -> Outcome:
    return simulate(seed)


def complaints_of_mutant(name: str, seed: int) -> list[str]:
    return simulate(seed, mutant=MUTANTS[name]).complaints


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield pool
        pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(900)
def test_every_accepted_event_stands_once_in_the_output_whatever_happens(processes: Executor) -> None:
    takeovers = 0
    failed = []
    for outcome in processes.map(run, range(SCHEDULES), chunksize=100):
        takeovers += sum(outcome.takeovers.values())
        if outcome.complaints:
            failed.append(f"python -m tests.simulation {outcome.seed}  # {outcome.complaints[:3]}")
        elif outcome.recovery_seconds > RECOVERY_BOUND_SECONDS:
            failed.append(f"python -m tests.simulation {outcome.seed}  # recovers in {outcome.recovery_seconds:.1f} s")
    assert not failed, "\n".join([f"{len(failed)} of {SCHEDULES} schedules", *failed[:20]])
    assert takeovers / SCHEDULES < TAKEOVERS_BOUND


def test_a_seed_makes_the_same_schedule_again() -> None:
    first: list[str] = []
    second: list[str] = []
    assert simulate(7, trace=first.append) == simulate(7, trace=second.append)
    assert first == second
    assert len(first) > 100


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CAUGHT_BY_THE_JUDGE)
def test_a_broken_rule_loses_or_doubles_events(name: str, processes: Executor) -> None:
    seeds = CAUGHT_BY_THE_JUDGE[name]
    for start in range(0, seeds, 100):
        found = processes.map(partial(complaints_of_mutant, name), range(start, min(start + 100, seeds)), chunksize=10)
        if any(list(found)):
            return
    pytest.fail(f"{name} was not caught within {seeds} seeds")


@pytest.mark.parametrize("name", CAUGHT_BY_A_MEASURE)
def test_a_missing_rule_costs_time_or_takeovers(name: str) -> None:
    measure = MEASURES[name]
    real, broken = measure.of(NONE), measure.of(MUTANTS[name])
    assert broken > real * CAUGHT_BY_A_MEASURE[name], f"{broken:.2f} against {real:.2f}"


def test_each_mutant_is_caught_one_way_or_the_other() -> None:
    assert set(MUTANTS) == set(CAUGHT_BY_THE_JUDGE) | set(CAUGHT_BY_A_MEASURE)
