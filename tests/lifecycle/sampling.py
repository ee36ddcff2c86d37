"""Looks at a forwarder again and again while a test does something to it."""

from __future__ import annotations

import json
import threading
from types import TracebackType
from typing import Self

from tests.harness.forwarder import Forwarder

_BETWEEN_SECONDS = 0.1


class Samples:
    """Asks /readyz and /status ten times a second between enter and exit."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)
        self.readiness: list[tuple[int, str]] = []
        """Code and text of each answer of /readyz."""
        self.reasons: list[str] = []
        """State and reason by each answer of /status, repetitions left out."""

    @property
    def without_reason(self) -> list[str]:
        """What /readyz said when it was not ready and gave no reason."""
        return [text for code, text in self.readiness if code != 200 and text.strip() in ("not ready:", "")]

    def _run(self) -> None:
        while not self._stop.wait(_BETWEEN_SECONDS):
            try:
                self.readiness.append(self._forwarder.get("/readyz"))
                status = self._forwarder.status()
            except (OSError, json.JSONDecodeError):
                continue
            reason = f"{status['state']}: {status['reason']}"
            if self.reasons[-1:] != [reason]:
                self.reasons.append(reason)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
