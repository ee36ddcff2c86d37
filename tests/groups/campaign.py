"""A campaign: faults of every kind strike a group under load, one after the other, in an order that the seed decides.

Owns: the order, the measurements and the verdict. Must not: know what a fault does.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.groups import faults_fabric, faults_kafka, faults_processes, faults_starts
from tests.groups.faults import FAULTS, Fault, Play
from tests.groups.stage import Stage
from tests.harness.judge import Verdict

MODULES = (faults_processes, faults_kafka, faults_fabric, faults_starts)
_LAST_RATE = 1_500.0


class Struck(NamedTuple):
    """What one fault did."""

    fault: Fault
    at_event: int
    lasted: float
    """Seconds until its cause was gone."""
    silence: float
    """The longest time without a detection in the output, from the strike until all was well."""
    well_after: float
    """Seconds from the strike until every member was well and had caught up."""
    repeated: int
    """Detections that the follower has seen twice meanwhile."""
    imbalance: int
    """The sum of the members' ledgers' imbalances afterwards."""

    @property
    def verdict(self) -> str:
        """In one word."""
        return "ok" if not self.repeated and not self.imbalance else f"{self.repeated} twice, {self.imbalance} off"


class Campaign:
    """Faults on a stage. `run` blocks for as long as it takes: some ten seconds a fault."""

    def __init__(
        self,
        *,
        stage: Stage,
        seed: int,
        count: int,
        events: int,
        say: Callable[[str], None],
        only: Sequence[Fault] = (),
    ) -> None:
        self._stage = stage
        self._dice = random.Random(seed)
        self._count = count
        self._events = events
        self._say = say
        self._kinds = list(only) or FAULTS
        self.struck: list[Struck] = []

    def run(self) -> Verdict:
        """Every kind at least once, then by chance up to the count; then the load up to the number of events."""
        stage = self._stage
        stage.load.start()
        stage.wait_until_well()
        for fault in self._order():
            self._strike(fault)
        stage.load.rate = max(stage.load.rate, _LAST_RATE)
        while len(stage.load.numbers) < self._events:
            time.sleep(0.1)
        return stage.finish()

    def _order(self) -> list[Fault]:
        order = self._dice.sample(self._kinds, len(self._kinds))
        while len(order) < self._count:
            order += self._dice.sample(self._kinds, min(len(self._kinds), self._count - len(order)))
        return order[: self._count]

    def _strike(self, fault: Fault) -> None:
        stage = self._stage
        repeated = len(stage.follower.repeated)
        at_event, started = len(stage.load.numbers), time.monotonic()
        fault.strike(Play(stage, self._dice))
        lasted = time.monotonic() - started
        stage.wait_for_progress()
        stage.wait_until_well()
        ended = time.monotonic()
        struck = Struck(
            fault=fault,
            at_event=at_event,
            lasted=lasted,
            silence=stage.follower.longest_silence(started, ended),
            well_after=ended - started,
            repeated=len(stage.follower.repeated) - repeated,
            imbalance=sum(member.ledger()["imbalance"] for member in stage.playing),
        )
        self.struck.append(struck)
        self._say(f"{len(self.struck):3d}/{max(self._count, len(self._kinds))}  {row(struck)}")


HEAD = f"{'fault':55} {'at event':>8} {'lasted':>7} {'silence':>8} {'well after':>10}  verdict"


def row(struck: Struck) -> str:
    """One line of the table."""
    return (
        f"{struck.fault.name:55} {struck.at_event:8d} {struck.lasted:6.1f}s {struck.silence:7.1f}s "
        f"{struck.well_after:9.1f}s  {struck.verdict}"
    )


def takeovers(struck: Sequence[Struck]) -> str:
    """How long nobody published where the publishing member had ended without a word."""
    seconds = [one.silence for one in struck if one.fault.takes_over]
    if not seconds:
        return "no takeover was measured"
    return f"{len(seconds)} takeovers: median {statistics.median(seconds):.1f} s, longest {max(seconds):.1f} s"
