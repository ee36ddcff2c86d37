"""How long the publisher waits for Kafka, and what it finds out meanwhile.

Standing still is normal while Kafka is away. It is not while Kafka answers: then the producer is in one of the states
that it never leaves, and has to go.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tie_forwarder.publisher.diagnosis import Diagnosis
from tie_forwarder.publisher.errors import ErrorClass, PublisherError, Verdict

_QUIET_SECONDS = 12.0
_BETWEEN_QUESTIONS_SECONDS = 5.0
_ANSWERS_THAT_PROVE_IT = 2


class Patience:
    """Asked while a batch is outstanding. One thread asks; the questions to Kafka run on a thread of their own."""

    def __init__(
        self,
        *,
        diagnosis: Diagnosis,
        on_trouble: Callable[[Verdict | None], None],
        stop: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._diagnosis = diagnosis
        self._on_trouble = on_trouble
        self._stop = stop
        self._monotonic = monotonic
        self._decided = -1
        self._moved_at = monotonic()
        self._asked_at = 0.0
        self._well = 0
        self._asking: threading.Thread | None = None
        self._answers: list[Verdict | None] = []

    def watch(self, total: int, decided: int) -> bool:
        """Whether to wait on: false when the process is to stop. Raises PublisherError when waiting is of no use."""
        now = self._monotonic()
        if decided != self._decided or total == decided:
            self._decided, self._moved_at, self._well = decided, now, 0
            self._on_trouble(None)
        if now - self._moved_at > _QUIET_SECONDS:
            self._find_out(now)
        return not self._stop.is_set()

    def start(self) -> None:
        """A new batch is outstanding from now on."""
        self._decided, self._moved_at, self._well = -1, self._monotonic(), 0

    def _find_out(self, now: float) -> None:
        if self._asking is None and now - self._asked_at > _BETWEEN_QUESTIONS_SECONDS:
            self._asked_at = now
            self._asking = threading.Thread(target=self._ask, name="patience", daemon=True)
            self._asking.start()
        if self._asking is None or self._asking.is_alive():
            return
        self._asking = None
        if not self._answers:
            return
        answer = self._answers.pop()
        if answer is not None:
            self._well = 0
            if answer.error_class is ErrorClass.BLOCKED:
                raise PublisherError(answer)
            self._on_trouble(answer)
            return
        self._well += 1
        if self._well >= _ANSWERS_THAT_PROVE_IT:
            raise PublisherError(
                Verdict(ErrorClass.TRANSIENT, "stuck", "Kafka answers, but the producer makes no progress")
            )

    def _ask(self) -> None:
        self._answers.append(self._diagnosis.ask())
