"""Reading up to a mark: whether it comes nearer, and where it does not, whose fault that is.

Two things keep it away while Kafka answers. An open transaction of somebody else holds back what stands behind it: it
ends by that producer, its time-out or an administrator, and until then it is waited for, and told. Or the consumer has
come into a state that it does not leave: then the process has to go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from kafka import TopicPartition

from tie_forwarder.publisher.errors import REMEDIES, ErrorClass, PublisherError, Verdict

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
