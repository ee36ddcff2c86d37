"""Which dead letters somebody wants to see, or to have replayed."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from tie_forwarder.dead_letters.letter import Letter


class Selection(NamedTuple):
    """All of them, where nothing is said."""

    since_ms: int | None = None
    """The earliest time of receipt, in milliseconds since the epoch."""
    reasons: Set[str] = frozenset()
    """The codes; empty for any."""

    def takes(self, letter: Letter) -> bool:
        """Whether the letter is one of them."""
        if self.since_ms is not None and letter.received_at_ms < self.since_ms:
            return False
        return not self.reasons or letter.reason in self.reasons
