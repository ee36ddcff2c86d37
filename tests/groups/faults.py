"""What a fault is: a name and a strike that ends when the cause is gone.

Owns: the list of all kinds, in the order of their modules. Must not: wait for the recovery; the campaign does, and
measures it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tests.groups.stage import Stage


@dataclass(frozen=True)
class Play:
    """Where a fault strikes, and the dice that it throws."""

    stage: Stage
    dice: random.Random

    @property
    def longer_than_a_takeover(self) -> float:
        """So many seconds that somebody else has taken over for certain."""
        return self.stage.takeover_after * 1.5 + 2.5

    def last(self, seconds: float) -> None:
        """The fault lasts: a span of it, not a wait for something."""
        time.sleep(seconds)


class Fault(NamedTuple):
    """A kind of fault. `strike` blocks until its cause is gone; who was ended runs again then."""

    name: str
    strike: Callable[[Play], None]
    takes_over: bool
    """Whether the publishing member ends by it without a word, so that the silence is the time of a takeover."""


FAULTS: list[Fault] = []


def fault(name: str, *, takes_over: bool = False) -> Callable[[Callable[[Play], None]], Callable[[Play], None]]:
    """Adds a strike to the list."""

    def add(strike: Callable[[Play], None]) -> Callable[[Play], None]:
        FAULTS.append(Fault(name, strike, takes_over))
        return strike

    return add
