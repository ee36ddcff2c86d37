"""The chronicle: what the log says of the whole, at the start, each hour and at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from tie_forwarder import __version__
from tie_forwarder.config import Config
from tie_forwarder.config.inspection import Inspection
from tie_forwarder.log import Log, tell_repeats
from tie_forwarder.spool import Recovery, Spool
from tie_forwarder.supervisor.report import VERSIONS

_HOUR_SECONDS = 3_600.0


class Chronicle:
    """Writes. Main thread."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._log = Log()
        self._told_at = monotonic()
        self._told: Mapping[str, int] = {}

    def damaged(self, found: Recovery) -> None:
        """The spool was mended when it was opened."""
        self._log.error(
            "spool.damaged", reason=found.reason, set_aside=str(found.set_aside), events_kept=found.events_kept,
            events_unreadable=found.events_lost,
        )  # fmt: skip

    def started(self, config: Config, *, found: Inspection, spool: Spool, http: str | None) -> None:
        """What starts, with what, and in which state."""
        topics = config.kafka.topics.by_destination()
        self._log.info(
            "forwarder.started", version=__version__, versions=VERSIONS, config=str(config.file),
            fabric=config.dxl.fabric, brokers=list(found.brokers), events=list(config.dxl.events),
            kafka=list(config.kafka.bootstrap_servers),
            topics=[topics[kind] for kind in (*config.dxl.events, "dead_letter")], delivery=config.kafka.delivery,
            group=config.group.name, member=config.group.member, spool=str(config.spool.directory),
            in_spool=spool.events, spool_bytes=spool.bytes, http=http,
            certificates={each.role: _day(each.ends_at) for each in found.certificates},
        )  # fmt: skip

    def look(self, totals: Mapping[str, int], *, state: str) -> None:
        """To be called now and then: each hour a line of totals, what the hour brought, and the state."""
        tell_repeats()
        if self._monotonic() - self._told_at < _HOUR_SECONDS:
            return
        self._told_at = self._monotonic()
        before, self._told = self._told, dict(totals)
        hour: dict[str, Any] = {
            f"{name}_in_the_hour": totals[name] - before.get(name, 0) for name in ("received", "published", "dropped")
        }
        self._log.info("forwarder.totals", state=state, **totals, **hour)

    def stopped(self, ledger: Mapping[str, int]) -> None:
        """The end, with the ledger."""
        tell_repeats(at_the_end=True)
        self._log.info("forwarder.stopped", **ledger)


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%d}"
