"""What a schedule consists of: the members, the events, and the faults, all drawn from its seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple

EFFECTS = ("read", "sent", "committed", "published", "remembered")
"""The effects of a transaction, in order."""
FAULTS = (
    "publisher_killed",
    "publisher_stopped",
    "member_killed",
    "member_stopped",
    "publisher_leaves",
    "kafka_away",
    "kafka_forgets",
    "leaderless",
    "clock_step",
    "disk_refuses",
    "lossy",
    "foreign_transaction",
    "foreign_records",
    "deaf",
    "turbulence",
    *("cut",) * 3,
)


class Event(NamedTuple):
    """An event of the fabric."""

    number: int
    published_at: float

    @property
    def event_id(self) -> bytes:
        """As it is packed."""
        return self.number.to_bytes(16, "big")


class Fault(NamedTuple):
    """Something goes wrong."""

    at: float
    kind: str
    member: int
    seconds: float
    effect: str = ""
    """For a `cut`: the effect of the next transaction after which it strikes."""
    means: str = ""
    """For a `cut`: the fault that then strikes."""


@dataclass(frozen=True)
class Plan:
    """All that is decided before a schedule begins."""

    members: int
    partitions: int
    latency: float
    frame_lag: float
    slowest_mark: float
    clocks_ahead: tuple[float, ...]
    starts_at: tuple[float, ...]
    events: tuple[Event, ...]
    poison: frozenset[int]
    faults: tuple[Fault, ...]
    transaction_timeout: float
    late: float
    """The share of deliveries that come late."""
    takeover_after: float = 3.0
    late_frames: float = 0.0
    """How often a publisher process is replaced before all frames of the dead one were read."""
    partial_polls: bool = False
    """Whether a read of the output brings only some of what is there."""
    log_append_time: bool = False
    """Whether records have the brokers' time."""
    max_rows: int | None = None
    """How many rows a spool takes before it drops the oldest."""
    seconds_per_row: float = 0.0
    """How long it takes to send one row."""
    batch_rows: int | None = None
    """How many rows a transaction takes at most, beside the rules of the member."""

    @property
    def healed_at(self) -> float:
        """From when on nothing goes wrong any more."""
        last_event = max(event.published_at for event in self.events)
        return max([last_event + 6.0, *(fault.at + fault.seconds for fault in self.faults)])


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    dice = random.Random(seed ^ 0x5EED)
    members = dice.choice((1, 2, 2, 3, 4))
    length = dice.uniform(4.0, 16.0)
    count = dice.randrange(6, 40)
    events = tuple(
        Event(number, at) for number, at in enumerate(sorted(_burst(dice, length) for _ in range(count)), start=1)
    )
    faults = sorted(_fault(dice, members, length) for _ in range(dice.choice((0, 1, 2, 2, 3, 4, 6))))
    return Plan(
        members=members,
        partitions=dice.choice((1, 2)),
        latency=dice.choice((0.004, 0.02, 0.2)),
        frame_lag=dice.choice((0.005, 0.1, 1.0)),
        slowest_mark=dice.choice((0.005, 0.1, 0.8)),
        clocks_ahead=tuple(dice.uniform(-0.5, 0.5) for _ in range(members)),
        starts_at=tuple(dice.choice((0.0, dice.uniform(0.0, length))) for _ in range(members)),
        events=events,
        poison=frozenset(dice.sample(range(1, count + 1), 1) if dice.random() < 0.1 else ()),
        faults=tuple(faults),
        transaction_timeout=dice.choice((5.0, 12.0)),
        late=dice.choice((0.0, 0.0, 0.1)),
        late_frames=dice.choice((0.0, 0.0, 0.7)),
        partial_polls=dice.random() < 0.5,
        log_append_time=dice.random() < 0.3,
        max_rows=dice.choice((None, None, None, 8)),
        seconds_per_row=dice.choice((0.0, 0.0, 0.0, 0.0, 0.15)),
    )


def _burst(dice: random.Random, length: float) -> float:
    """Some come in bursts."""
    at = dice.uniform(0.5, length)
    return float(int(at)) + dice.random() * 0.05 if dice.random() < 0.5 else at


def _fault(dice: random.Random, members: int, length: float) -> Fault:
    kind = dice.choice(FAULTS)
    longest = {
        "member_stopped": 25.0,
        "foreign_transaction": 15.0,
        "kafka_away": 10.0,
        "publisher_stopped": 8.0,
        "leaderless": 10.0,
        "cut": 20.0,
    }
    seconds = dice.choice((dice.uniform(0.05, 1.0), dice.uniform(0.5, longest.get(kind, 6.0))))
    if kind in ("publisher_killed", "publisher_leaves"):
        seconds = 0.0
    effect = means = ""
    if kind == "cut":
        effect = dice.choice((*EFFECTS, "sent", "sent"))
        means = dice.choice(("publisher_killed", "publisher_stopped", "member_killed", "member_stopped"))
    return Fault(dice.uniform(0.5, length), kind, dice.randrange(members), seconds, effect, means)
