"""How long the publisher waits for Kafka, and what it finds out meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from tie_forwarder.kafka.errors import REMEDIES, ErrorClass, PublisherError, Verdict

_QUIET_SECONDS = 4.0
_BETWEEN_QUESTIONS_SECONDS = 5.0
_STUCK_SECONDS = 15.0
"""Longer than a request's time-out after Kafka has come back, when the producer begins to move by itself."""

_STOPPING_SECONDS = 1.5
"""After a wish to stop: what is under way may be decided, which spares its repetition by the next process."""


class Questions(Protocol):
    """Who is asked."""

    def ask(self) -> Verdict | None:
        """What keeps the topics from taking records; None when all looks well. May block for seconds."""


class Patience:
    """Asked while a batch is outstanding. One thread asks; the questions to Kafka run on a thread of their own."""

    def __init__(
        self,
        *,
        diagnosis: Questions,
        throttled: Callable[[], bool],
        on_trouble: Callable[[Verdict | None], None],
        stop: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._diagnosis = diagnosis
        self._throttled = throttled
        self._on_trouble = on_trouble
        self._stop = stop
        self._monotonic = monotonic
        self._decided = -1
        self._moved_at = monotonic()
        self._asked_at = 0.0
        self._well_since: float | None = None
        self._stopping_since: float | None = None
        self._asking: threading.Thread | None = None
        self._answers: list[Verdict | None] = []

    def start(self) -> None:
        """A new batch is outstanding from now on."""
        self._move(-1)

    def watch(self, total: int, decided: int) -> bool:
        """Whether to wait on: false soon after a wish to stop. Raises PublisherError when waiting is of no use."""
        now = self._monotonic()
        if decided != self._decided or total == decided:
            self._move(decided)
            self._on_trouble(None)
        elif now - self._moved_at > _QUIET_SECONDS:
            if self._throttled():
                self._well_since = None
                detail = "the brokers hold this client back by a quota"
                self._on_trouble(Verdict(ErrorClass.TRANSIENT, "quota", detail, REMEDIES["quota"]))
            else:
                self._find_out(now)
        if self._stop.is_set() and self._stopping_since is None:
            self._stopping_since = now
        return self._stopping_since is None or now - self._stopping_since < _STOPPING_SECONDS

    def _move(self, decided: int) -> None:
        self._decided, self._moved_at, self._well_since = decided, self._monotonic(), None

    def _find_out(self, now: float) -> None:
        if self._asking is None and now - self._asked_at > _BETWEEN_QUESTIONS_SECONDS:
            self._asked_at = now
            self._asking = threading.Thread(target=self._ask, name="patience", daemon=True)
            self._asking.start()
        if self._asking is None or self._asking.is_alive():
            return
        self._asking = None
        if self._answers:
            self._judge(self._answers.pop(), now)

    def _judge(self, answer: Verdict | None, now: float) -> None:
        if answer is not None:
            self._well_since = None
            if answer.error_class is ErrorClass.BLOCKED:
                raise PublisherError(answer)
            self._on_trouble(answer)
        elif self._well_since is None:
            self._well_since = now
        elif now - self._well_since >= _STUCK_SECONDS:
            detail = "Kafka answers, but the producer makes no progress"
            raise PublisherError(Verdict(ErrorClass.TRANSIENT, "stuck", detail, REMEDIES["stuck"]))

    def _ask(self) -> None:
        self._answers.append(self._diagnosis.ask())
