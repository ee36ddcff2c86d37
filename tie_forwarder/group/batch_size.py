"""How many rows the next batch takes: as many as Kafka has proven to take quickly, and fewer after an unproven outcome.

A transaction that does not end in time is worth nothing, and the same rows come again: a size that failed must not be
tried again at once, also where the process died of it. So the parent knows at any time with how many rows the next
process begins (`next_process_rows`, in each status), and no kind of death has to be reported.
"""

from __future__ import annotations

FIRST_ROWS = 200
MOST_ROWS = 1_000

_QUICK_SECONDS = 1.0
"""A batch that took no longer may be doubled: twice as long is still far below every time limit."""
_SLOW_SECONDS = 5.0
"""A batch that took longer is halved. Five times the above, or sizes would swing to and fro."""
_QUICK_BATCHES = 3
"""So many full ones in a row, because a quota lets the first one pass and makes the next ones pay for it. Twice as many
after each time that it was too much."""
_MOST_QUICK_BATCHES = 48


class BatchSize:
    """The rule for both deliveries. The publishing thread calls it; any thread may read the properties."""

    def __init__(self, rows: int = FIRST_ROWS) -> None:
        """`rows` is what the process before has left."""
        self._rows = rows
        self._under_way = 0
        self._quick = 0
        self._quick_needed = _QUICK_BATCHES

    @property
    def rows(self) -> int:
        """How many rows the next batch may take."""
        return self._rows

    @property
    def next_process_rows(self) -> int:
        """With how many rows the next process begins if this one ends now: half of a batch whose outcome is unknown."""
        under_way = self._under_way
        return max(1, under_way // 2) if under_way else self._rows

    def started(self, rows: int) -> None:
        """A batch of so many rows is under way; its outcome is unknown until `succeeded` or `refused`."""
        self._under_way = rows

    def succeeded(self, seconds: float) -> None:
        """Kafka has the batch, after so many seconds."""
        rows, self._under_way = self._under_way, 0
        if seconds > _SLOW_SECONDS:
            self._rows = max(1, min(self._rows, rows) // 2)
            self._quick = 0
            self._quick_needed = min(_MOST_QUICK_BATCHES, 2 * self._quick_needed)
        elif seconds > _QUICK_SECONDS:
            self._quick = 0
        elif rows >= self._rows:
            self._quick += 1
        if self._quick >= self._quick_needed:
            self._rows = min(MOST_ROWS, self._rows * 2)
            self._quick = 0
            if self._rows == MOST_ROWS:
                self._quick_needed = _QUICK_BATCHES

    def refused(self) -> None:
        """Kafka has refused the batch for one of its records, which says nothing about its size."""
        self._under_way = 0
