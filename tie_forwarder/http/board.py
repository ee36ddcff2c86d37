"""The board: what the main loop writes down each turn, and the HTTP threads read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Notice:
    """One consistent picture. Replaced as a whole, so that reading needs no lock."""

    live: bool = True
    ready: bool = False
    why_not_ready: str = "starting"
    status: dict[str, Any] = field(default_factory=dict)


class Board:
    """Holds the last notice."""

    def __init__(self) -> None:
        self.notice = Notice()
