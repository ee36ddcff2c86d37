"""The ledger: what was in the spool at start plus what came in equals what went out plus what is here now."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Ledger:
    """Counts since the start of the process. Written by the flow's thread alone; `snapshot` may be read by any."""

    in_spool_at_start: int = 0
    received: int = 0
    published: int = 0
    settled: int = 0
    filtered: int = 0
    dropped: int = 0
    duplicate: int = 0

    def snapshot(self, in_spool: int) -> dict[str, int]:
        """All counts, and the imbalance, which is 0 unless events were lost or doubled unseen."""
        came = self.in_spool_at_start + self.received
        went = self.published + self.settled + self.filtered + self.dropped + self.duplicate
        return {
            "in_spool_at_start": self.in_spool_at_start,
            "received": self.received,
            "published": self.published,
            "settled": self.settled,
            "filtered": self.filtered,
            "dropped": self.dropped,
            "duplicate": self.duplicate,
            "in_spool": in_spool,
            "imbalance": came - went - in_spool,
        }
