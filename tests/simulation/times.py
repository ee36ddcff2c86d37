"""The times of the model: a third of the real ones, in the same order of size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """What the model of a publisher process goes by, in seconds."""

    takeover_after: float
    transaction_timeout: float
    answer: float = 4.0
    margin: float = 30.0
    standby_read: float = 0.3


DEAF_SECONDS = 1.5
"""After so long a member notices that it receives nothing."""
