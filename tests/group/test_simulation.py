"""Thousands of random schedules of faults against the rules of a group, and the same with one rule broken each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor

import pytest

from tests.simulation import campaign
from tests.simulation.campaign import CAUGHT_BY_A_MEASURE, CAUGHT_BY_THE_JUDGE
from tests.simulation.measures import PLANS
from tests.simulation.mutants import MUTANTS
from tests.simulation.schedule import simulate

SHARE = float(os.environ.get("TIE_FORWARDER_SHARE", "1"))
SCHEDULES = int(os.environ.get("TIE_FORWARDER_SCHEDULES", SHARE * campaign.SCHEDULES))
"""More of them for a night: the seeds count from 0."""


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield pool
        pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(900)
def test_every_accepted_event_stands_once_in_the_output_whatever_happens(processes: Executor) -> None:
    takeovers = 0
    failed = []
    for outcome in campaign.explore(processes, schedules=SCHEDULES):
        takeovers += sum(outcome.takeovers.values())
        failed += [fault] if (fault := campaign.fault_of(outcome)) else []
    assert not failed, "\n".join([f"{len(failed)} of {SCHEDULES} schedules", *failed[:20]])
    assert takeovers / SCHEDULES < campaign.TAKEOVERS_BOUND


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
    assert campaign.first_seed_caught(name, processes) is not None, f"{name} was not caught within {seeds} seeds"


@pytest.mark.parametrize("name", PLANS)
def test_the_real_rules_pass_where_a_mutant_has_plans_of_its_own(name: str, processes: Executor) -> None:
    assert campaign.complaints_of_the_real_rules(name, processes) == []


@pytest.mark.parametrize("name", CAUGHT_BY_A_MEASURE)
def test_a_missing_rule_costs_time_or_takeovers(name: str) -> None:
    real, broken = campaign.figures(name)
    assert broken > real * CAUGHT_BY_A_MEASURE[name], f"{broken:.2f} against {real:.2f}"


def test_each_mutant_is_caught_one_way_or_the_other() -> None:
    assert set(MUTANTS) == set(CAUGHT_BY_THE_JUDGE) | set(CAUGHT_BY_A_MEASURE)
