"""Plans in which a rule that costs no event when it is missing costs time or take-overs: what that is, in figures."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

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


def _refusing_disk(seed: int) -> Plan:
    """What the second member saw in the output cannot leave its spool, and nothing more is published."""
    return steady(seed, members=2, faults=(Fault(9.5, "disk_refuses", 1, 15.0),), seconds=5.0, frame_lag=1.0)


def _partly_deaf(seed: int) -> Plan:
    return steady(seed, members=2, faults=(Fault(10.0, "deaf", 0, 1.0),), seconds=40.0)


def _late(outcome: Outcome) -> float:
    return outcome.late_share


def _back_at_once(seed: int) -> Plan:
    return steady(seed, members=2, faults=(Fault(10.0, "member_killed", 0, 1.5),), seconds=20.0)


def _deaf_for_a_while(seed: int) -> Plan:
    return steady(seed, members=2, faults=(Fault(10.0, "deaf", 0, 2.5),), seconds=20.0)


def _behind_an_older_backlog(seed: int) -> Plan:
    """When Kafka is back, the first member drains a backlog that is older than anything the second one has."""
    away = Fault(9.0, "kafka_away", 0, 40.0)
    plan = steady(seed, members=2, faults=(away,), seconds=45.0, takeover_after=5.0)
    return replace(plan, starts_at=(0.0, 22.0), log_append_time=True, batch_rows=2, seconds_per_row=0.08)


def _wrong_clock_in_a_backlog(seed: int) -> Plan:
    """The same, and the clock of the first member was wrong for a moment of it."""
    step = Fault(11.0, "clock_step", 0, 1.0)
    plan = _behind_an_older_backlog(seed)
    return replace(plan, faults=(*plan.faults, step), log_append_time=False)


def _wrong_clock_when_the_first_is_killed(seed: int) -> Plan:
    """The second member receives events with a clock that is set right soon after, and the first one is gone."""
    faults = (Fault(9.0, "clock_step", 1, 4.0), Fault(10.0, "member_killed", 0, 60.0))
    return steady(seed, members=2, faults=faults, seconds=5.0)


def late_frames(seed: int) -> Plan:
    """The publisher process is killed after a commit, and again while it waits for its main process."""
    dice = random.Random(seed)
    faults = []
    for turn in range(6):
        at = 9.0 + 3 * turn
        faults.append(Fault(at, "cut", 0, 1.0, effect="committed", means="publisher_killed"))
        faults.append(Fault(at + dice.uniform(0.3, 3.0), "publisher_killed", 0, 0.0))
    return replace(steady(seed, members=1, faults=tuple(faults), seconds=20.0, frame_lag=1.0), late_frames=1.0)


def full_spool(seed: int) -> Plan:
    """Twenty events a second fill a small spool, and the publisher process dies again and again after a commit."""
    faults = tuple(
        Fault(9.0 + 2 * turn, "cut", 0, 1.0, effect="committed", means="publisher_killed") for turn in range(8)
    )
    plan = steady(seed, members=1, faults=faults, seconds=20.0)
    events = (plan.events[0], *(Event(number, 8.0 + number / 20) for number in range(2, 400)))
    return replace(plan, events=events, max_rows=12)


def wrong_clock_at_a_restart(seed: int) -> Plan:
    """A member whose clock is hours off is started again while events are under way, and must publish in the end."""
    faults = (
        Fault(9.0, "clock_step", 1, 30.0),
        Fault(11.0, "member_killed", 1, 0.5),
        Fault(20.0, "member_killed", 0, 20.0),
    )
    return replace(steady(seed, members=2, faults=faults, seconds=20.0), late=0.3)


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


def slow_kafka(seed: int) -> Plan:
    """A quota: forty events at once, of which sixteen can be sent in the time that a transaction may take."""
    plan = steady(seed, members=1, faults=(), seconds=1.0)
    events = (plan.events[0], *(Event(number, 8.0 + number / 100) for number in range(2, 42)))
    return replace(plan, events=events, seconds_per_row=0.25)


PLANS = {
    "same_batch_again": slow_kafka,
    "late_barrier": late_frames,
    "grants_forgotten": full_spool,
    "seeks_by_own_clock": wrong_clock_at_a_restart,
}
"""Plans in which the judge sees at once what random ones show seldom, by the mutant."""

MEASURES = {
    "fenced_at_once": Measure(_hung_publishers, _takeovers),
    "no_jitter": Measure(_first_killed, _takeovers, seeds=100),
    "no_peek": Measure(_foreign, _takeovers),
    "no_second_look": Measure(_refusing_disk, _takeovers),
    "never_passed_by": Measure(_partly_deaf, _wait),
    "first_after_a_crash": Measure(_back_at_once, _late),
    "first_when_deaf": Measure(_deaf_for_a_while, _late),
    "waits_by_wall_clock": Measure(_wrong_clock_when_the_first_is_killed, _wait),
    "broker_timestamps": Measure(_behind_an_older_backlog, _takeovers),
    "passed_by_at_one_look": Measure(_wrong_clock_in_a_backlog, _takeovers),
    "no_start_rule": Measure(_lone_restart, _wait),
    "mark_watermark_only": Measure(_killed_in_transaction, _wait),
}
"""By the mutant that each of them shows."""
