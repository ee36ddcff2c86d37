"""The certificates in use and when they end, looked at again now and then: they are renewed under a running daemon."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable

from tie_forwarder.config import Config
from tie_forwarder.config.inspection import Certificate, inspect

_BETWEEN_LOOKS_SECONDS = 600.0


class Certificates:
    """Knows what the last look has found; looks on a thread of its own, in a process of its own."""

    def __init__(self, *, monotonic: Callable[[], float], first: list[Certificate]) -> None:
        self._monotonic = monotonic
        self._looked_at = monotonic()
        self._found = tuple(first)
        self._looking: threading.Thread | None = None

    def current(self, config: Config) -> tuple[Certificate, ...]:
        """The certificates that could be read at the last look. Never blocks."""
        idle = self._looking is None or not self._looking.is_alive()
        if idle and self._monotonic() - self._looked_at > _BETWEEN_LOOKS_SECONDS:
            self._looked_at = self._monotonic()
            self._looking = threading.Thread(target=self._look, args=(config,), name="certificates", daemon=True)
            self._looking.start()
        return self._found

    def replace(self, found: tuple[Certificate, ...]) -> None:
        """Another has just looked."""
        self._looked_at = self._monotonic()
        self._found = found

    def _look(self, config: Config) -> None:
        try:
            self._found = tuple(inspect(config).certificates)
        except (OSError, subprocess.SubprocessError):
            return  # a machine without room for a process has louder troubles; the next look may work
