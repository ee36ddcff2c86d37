"""Plans in which a rule that costs no event when it is missing costs time or take-overs: what that is, in figures."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.mutants import NONE, Mutant
from tests.simulation.plan import Event, Fault, Plan
from tests.simulation.schedule import Outcome, simulate


def steady(
    seed: int,
    *,
    members: int,
    faults: tuple[Fault, ...],
    seconds: float = 30.0,
    latency: float = 0.02,
    frame_lag: float = 0.1,
    takeover_after: float = 3.0,
) -> Plan:
    """Three events a second and given faults; the first member publishes one event, then the others join it."""
    dice = random.Random(seed)
    first = Event(1, 0.5)
    others = (Event(number + 2, 8.0 + number / 3 + dice.uniform(0.0, 0.3)) for number in range(int(seconds * 3)))
    return Plan(
        members=members,
        partitions=1,
        latency=latency,
        frame_lag=frame_lag,
        slowest_mark=0.05,
        clocks_ahead=tuple(dice.uniform(-0.2, 0.2) for _ in range(members)),
        starts_at=(0.0, *(dice.uniform(4.0, 5.0) for _ in range(members - 1))),
        events=(first, *others),
        poison=frozenset(),
        faults=tuple(fault._replace(at=fault.at + dice.uniform(0.0, 1.0)) for fault in faults),
        transaction_timeout=12.0,
        late=0.0,
        takeover_after=takeover_after,
    )


def _takeovers(outcome: Outcome) -> float:
    return float(sum(outcome.takeovers.values()))


def _wait(outcome: Outcome) -> float:
    return outcome.longest_wait_seconds


def _hung_publishers(seed: int) -> Plan:
    faults = tuple(Fault(10.0 + 6 * turn, "member_stopped", turn % 3, 5.0) for turn in range(3))
    return steady(seed, members=3, faults=faults, latency=0.5)


def _first_killed(seed: int) -> Plan:
    killed = Fault(10.0, "member_killed", 0, 30.0)
    return steady(seed, members=4, faults=(killed,), seconds=45.0, latency=0.5, takeover_after=10.0)


def _foreign(seed: int) -> Plan:
    return steady(seed, members=3, faults=(Fault(10.0, "foreign_transaction", 0, 20.0),))


def _outage(seed: int) -> Plan:
    return steady(seed, members=3, faults=(Fault(10.0, "kafka_away", 0, 20.0),), seconds=40.0, frame_lag=1.0)


def _partly_deaf(seed: int) -> Plan:
    return steady(seed, members=2, faults=(Fault(10.0, "deaf", 0, 1.0),), seconds=40.0)


def _late(outcome: Outcome) -> float:
    return outcome.late_share


def _back_at_once(seed: int) -> Plan:
    return steady(seed, members=2, faults=(Fault(10.0, "member_killed", 0, 1.5),), seconds=20.0)


def _deaf_for_a_while(seed: int) -> Plan:
    return steady(seed, members=2, faults=(Fault(10.0, "deaf", 0, 2.5),), seconds=20.0)


def _lone_restart(seed: int) -> Plan:
    return steady(seed, members=1, faults=(Fault(10.0, "member_killed", 0, 0.5),), seconds=15.0)


def _killed_in_transaction(seed: int) -> Plan:
    cut = Fault(10.0, "cut", 0, 20.0, effect="sent", means="member_killed")
    return steady(seed, members=2, faults=(cut,))


@dataclass(frozen=True)
class Measure:
    """A figure of a plan, as the mean of some seeds."""

    plan: Callable[[int], Plan]
    figure: Callable[[Outcome], float]
    seeds: int = 40

    def of(self, mutant: Mutant = NONE) -> float:
        """The mean."""
        outcomes = (simulate(seed, plan=self.plan(seed), mutant=mutant) for seed in range(self.seeds))
        return sum(map(self.figure, outcomes)) / self.seeds


MEASURES = {
    "fenced_at_once": Measure(_hung_publishers, _takeovers),
    "no_jitter": Measure(_first_killed, _takeovers, seeds=100),
    "no_peek": Measure(_foreign, _takeovers),
    "no_second_look": Measure(_outage, _takeovers, seeds=200),
    "never_passed_by": Measure(_partly_deaf, _wait),
    "first_after_a_crash": Measure(_back_at_once, _late),
    "first_when_deaf": Measure(_deaf_for_a_while, _late),
    "no_start_rule": Measure(_lone_restart, _wait),
    "mark_watermark_only": Measure(_killed_in_transaction, _wait),
}
"""By the mutant that each of them shows."""
