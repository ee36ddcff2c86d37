"""The score of a replay: what became of the letters, by the reason for which they were dead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum


class Fate(StrEnum):
    """What became of a dead letter; the value is what a person reads."""

    REPLAYED = "replayed"
    """Its event stands in Kafka now; of a dry run: would be replayed."""
    BEFORE = "before"
    """It was replayed before, or stands in the topic twice."""
    INVALID = "still invalid"
    """It is no valid event by today's rules either."""
    FILTERED = "filtered"
    """It is valid, and a filter keeps it back."""
    CUT = "not whole"
    """It holds a record that Kafka had refused, and not the message of the fabric."""
    REFUSED = "refused"
    """Kafka has refused the record of its event, or its marker, now."""


class Counts:
    """Counts letters by reason and fate."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, Fate]] = Counter()

    def add(self, reason: str, fate: Fate, count: int = 1) -> None:
        """Letters have met their fate."""
        self._counts[reason, fate] += count

    def total(self, fate: Fate) -> int:
        """How many have met this fate."""
        return sum(count for (_, each), count in self._counts.items() if each is fate)

    def rows(self) -> Iterator[tuple[str, list[int]]]:
        """Each reason, in alphabetical order, with its counts in the order of `Fate`; the totals come last."""
        for reason in sorted({reason for reason, _ in self._counts}):
            yield reason, [self._counts[reason, fate] for fate in Fate]
        yield "all", [self.total(fate) for fate in Fate]
