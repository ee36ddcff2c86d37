"""The simulation by hand.

`python -m tests.simulation` explores 10,000 schedules and hunts every mutant; it exits with 1 when a schedule has a
fault or a mutant is not caught. `python -m tests.simulation SEED [MUTANT]` prints one schedule step by step.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import Executor, ProcessPoolExecutor

from tests.simulation import campaign
from tests.simulation.measures import PLANS
from tests.simulation.mutants import MUTANTS, NONE
from tests.simulation.plan import draw
from tests.simulation.schedule import simulate

_SHOWN_FAULTS = 20
_BETWEEN_LINES = 1_000


def main() -> int:
    """Returns 1 when something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="one schedule, step by step, instead of all")
    parser.add_argument("mutant", choices=sorted(MUTANTS), nargs="?", help="with this rule broken")
    parser.add_argument("--schedules", type=int, default=campaign.SCHEDULES, help="how many (default: %(default)s)")
    wanted = parser.parse_args()
    if wanted.seed is not None:
        return show(wanted.seed, wanted.mutant)
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as processes:
        faults = explore(processes, schedules=wanted.schedules)
        missed = hunt(processes)
    print(f"{faults} schedules with a fault, {missed} mutants not caught")
    return 1 if faults or missed else 0


def show(seed: int, mutant: str | None) -> int:
    """One schedule step by step, by the plan of the mutant where it has one of its own."""
    plan = PLANS[mutant](seed) if mutant in PLANS else draw(seed)
    print(plan)
    outcome = simulate(seed, plan=plan, mutant=NONE if mutant is None else MUTANTS[mutant], trace=print)
    print(outcome)
    return 1 if outcome.complaints else 0


def explore(processes: Executor, *, schedules: int) -> int:
    """How many schedules have a fault with the real rules."""
    faults, takeovers, slowest, started = 0, Counter[str](), 0.0, time.monotonic()
    for number, outcome in enumerate(campaign.explore(processes, schedules=schedules), start=1):
        takeovers.update(outcome.takeovers)
        slowest = max(slowest, outcome.recovery_seconds)
        fault = campaign.fault_of(outcome)
        faults += bool(fault)
        if fault and faults <= _SHOWN_FAULTS:
            print(fault, flush=True)
        if number % _BETWEEN_LINES == 0 or number == schedules:
            seconds = time.monotonic() - started
            print(f"{number:>6} of {schedules} schedules, {faults} with a fault, {seconds:.0f} s", flush=True)
    average = takeovers.total() / max(1, schedules)
    reasons = ", ".join(f"{reason} {count}" for reason, count in takeovers.most_common())
    print(f"slowest recovery {slowest:.1f} s; {average:.2f} takeovers a schedule ({reasons})")
    if average >= campaign.TAKEOVERS_BOUND:
        print(f"more than {campaign.TAKEOVERS_BOUND} takeovers a schedule")
        faults += 1
    return faults


def hunt(processes: Executor) -> int:
    """How many mutants are not caught."""
    missed = 0
    for name in sorted(MUTANTS):
        if name in campaign.CAUGHT_BY_A_MEASURE:
            real, broken = campaign.figures(name)
            caught = broken > real * campaign.CAUGHT_BY_A_MEASURE[name]
            how = f"{broken:.2f} against {real:.2f}"
        else:
            seed = campaign.first_seed_caught(name, processes)
            wrong = campaign.complaints_of_the_real_rules(name, processes)
            caught = seed is not None and not wrong
            how = f"the real rules fail in its plans: {wrong[:3]}" if wrong else f"seed {seed}"
        missed += not caught
        print(f"{name:<24} {'caught' if caught else 'NOT CAUGHT'}: {how}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
