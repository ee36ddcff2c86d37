"""Between commit and proof: rows whose commit has returned until readers see their records.

`Mark` reads up to a mark and finds out what keeps it away: an open transaction of another producer is waited for and
named; a consumer that is stuck ends the process.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from kafka import TopicPartition

from tie_forwarder.kafka.errors import REMEDIES, ErrorClass, PublisherError, Verdict
from tie_forwarder.kafka.tail import Ends

_QUIET_SECONDS = 3.0
_BETWEEN_QUESTIONS_SECONDS = 1.0
_STUCK_SECONDS = 15.0
"""Longer than a request's time-out, after which the consumer asks anew by itself."""


class Distance(Protocol):
    """Who knows how far it is."""

    def unread(self) -> int:
        """How many offsets lie between what has been read and the mark."""

    def position(self) -> int:
        """How far it has been read, over all partitions; only whether it moves matters."""

    def held_back(self) -> Mapping[TopicPartition, int]:
        """Where, and from which offset on, an open transaction holds back what stands behind it. May block."""


class Mark:
    """Asked again and again while the tail is read up to a mark. One thread."""

    def __init__(self, *, distance: Distance, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._distance = distance
        self._monotonic = monotonic
        self._position = -1
        self._reached = False
        self._restarts = True
        self._moved_at = self._asked_at = self._held_at = monotonic()
        self.trouble: Verdict | None = None
        """What keeps the mark out of reach; None while it comes nearer."""

    def begin(self) -> None:
        """Start with a new mark. The reading has its full time for it, unless it stood still before the last one.

        A publishing member sets a new mark at every look. Each of its own transactions leaves one offset to read, so
        the number of unread offsets can be the same at every look although the reading moves on.
        """
        self._restarts = self._restarts or self._reached

    def reached(self) -> bool:
        """Whether all has been read. Raises PublisherError when the consumer is stuck, KafkaError from Kafka."""
        unread, position, now = self._distance.unread(), self._distance.position(), self._monotonic()
        self._reached = unread == 0
        if self._reached or self._restarts or position != self._position:
            self._position, self._restarts = position, False
            self._moved_at, self._held_at, self.trouble = now, now, None
        elif now - self._moved_at >= _QUIET_SECONDS and now - self._asked_at >= _BETWEEN_QUESTIONS_SECONDS:
            self._find_out(now)
        return self._reached

    def _find_out(self, now: float) -> None:
        self._asked_at = now
        held_back = self._distance.held_back()
        if held_back:
            self._held_at = now
            places = ", ".join(f"{at.topic}-{at.partition} from offset {first}" for at, first in held_back.items())
            detail = f"an open transaction holds back what stands behind it: {places}"
            self.trouble = Verdict(ErrorClass.TRANSIENT, "open_transaction", detail, REMEDIES["open_transaction"])
        elif now - self._held_at >= _STUCK_SECONDS:
            detail = "Kafka answers, but the reading of the output makes no progress"
            raise PublisherError(Verdict(ErrorClass.TRANSIENT, "stuck", detail, REMEDIES["stuck"]))
        else:
            self.trouble = None


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
