"""Rows whose commit has returned, until readers can see their records: only then they may leave the spool.

Kafka answers a commit when the decision is in its log, and writes the transaction's end into the partitions afterwards.
Killed in between, it can take those partitions for deleted when it is back, and write no end at all: the records stay
hidden, and go with the next abort by the same id. So the last stable offset is the proof.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tie_forwarder.publisher.errors import REMEDIES, ErrorClass, Verdict
from tie_forwarder.publisher.tail import Ends

_BETWEEN_LOOKS_SECONDS = 0.05
_HIDDEN_SECONDS = 3.0
_BETWEEN_COMPLAINTS_SECONDS = 30.0


class Batch(NamedTuple):
    """One transaction."""

    positions: Sequence[int]
    """Its rows in the spool."""
    ends: Ends
    """Where its records end in the output."""
    seconds: float
    """How long the transaction took."""
    committed_at: float


class Unseen:
    """Committed batches in their order. One thread."""

    def __init__(
        self,
        *,
        stable_ends: Callable[[], Ends],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`stable_ends` asks Kafka for the last stable offset by topic and partition; it may block and raise."""
        self._stable_ends = stable_ends
        self._monotonic = monotonic
        self._batches: deque[Batch] = deque()
        self._looked_at = self._complained_at = monotonic() - _BETWEEN_COMPLAINTS_SECONDS
        self.trouble: Verdict | None = None
        """What hides them, where it lasts."""

    def __bool__(self) -> bool:
        return bool(self._batches)

    def add(self, positions: Sequence[int], ends: Ends, seconds: float) -> None:
        """A transaction was committed."""
        self._batches.append(Batch(positions, ends, seconds, self._monotonic()))

    def clear(self) -> None:
        """Forgets them: what becomes of them is read from the output."""
        self._batches.clear()
        self.trouble = None

    @property
    def due(self) -> bool:
        """Whether it is time to look."""
        return bool(self._batches) and self._monotonic() - self._looked_at >= _BETWEEN_LOOKS_SECONDS

    def release(self) -> list[Batch]:
        """Those that readers can see now. Asks Kafka; may block up to the request timeout and raise KafkaError."""
        self._looked_at = self._monotonic()
        stable = self._stable_ends()
        released = []
        while self._batches and not _hidden(self._batches[0], stable):
            released.append(self._batches.popleft())
        self._judge(stable)
        return released

    def overdue(self) -> bool:
        """Whether something has been hidden for too long; true once, and again after half a minute."""
        now = self._monotonic()
        if self.trouble is None or now - self._complained_at < _BETWEEN_COMPLAINTS_SECONDS:
            return False
        self._complained_at = now
        return True

    def _judge(self, stable: Ends) -> None:
        self.trouble = None
        if self._batches and self._monotonic() - self._batches[0].committed_at > _HIDDEN_SECONDS:
            hidden = ", ".join(f"{topic}-{number}" for topic, number in _hidden(self._batches[0], stable))
            detail = f"an open transaction hides committed records from readers: {hidden}"
            self.trouble = Verdict(ErrorClass.TRANSIENT, "open_transaction", detail, REMEDIES["open_transaction"])


def _hidden(batch: Batch, stable: Ends) -> list[tuple[str, int]]:
    """The partitions in which readers do not see all of the batch."""
    return sorted(place for place, end in batch.ends.items() if end > stable.get(place, 0))
