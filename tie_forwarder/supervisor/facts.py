"""The facts that the health is made from, gathered from what the parts last reported."""

from __future__ import annotations

import time

from tie_forwarder.config.inspection import Certificate
from tie_forwarder.health import Facts
from tie_forwarder.spool import Spool
from tie_forwarder.supervisor.accounts import Accounts
from tie_forwarder.supervisor.flow import Flow
from tie_forwarder.supervisor.growth import Waiting
from tie_forwarder.supervisor.publisher_watch import PublisherWatch
from tie_forwarder.supervisor.receiver_watch import Reception
from tie_forwarder.supervisor.surge import Surge


def facts_of(
    *,
    now: float,
    starting: bool,
    stopping: bool,
    receiver: Reception,
    publisher: PublisherWatch,
    spool: Spool,
    flow: Flow,
    accounts: Accounts,
    certificates: tuple[Certificate, ...],
    surge: Surge,
    waiting: Waiting,
    takeover_after_seconds: float,
) -> Facts:
    """One moment's facts. Asks nothing that could block."""
    fault = receiver.fault
    return Facts(
        now=now,
        starting=starting,
        # That nothing is received any more is what a stop is for.
        receiver_ready=receiver.ready or stopping,
        receiver_fault="" if fault is None else fault.reason,
        receiver_detail=receiver.status.trouble if fault is None else fault.text,
        receiver_not_replaced=receiver.not_replaced,
        only_events_come=receiver.only_events_come,
        publisher_unconnected_seconds=publisher.unconnected_seconds,
        publisher_waiting_seconds=publisher.waiting_seconds,
        publisher_trouble=publisher.trouble,
        spool_events=spool.events,
        spool_oldest_at=waiting.received_at(spool.oldest_received_at_ms, now=now),
        spool_unmoved_seconds=waiting.unmoved_seconds,
        takeover_after_seconds=takeover_after_seconds,
        withheld_topics=flow.withheld.topics,
        disk_error=flow.disk_error,
        last_drop_at=by_wall_clock(accounts.last_drop_at, now=now),
        last_drop_reason=accounts.last_drop_reason,
        ledger_imbalance=accounts.snapshot["imbalance"],
        role=publisher.role.role,
        compacted=publisher.compacted,
        certificates=certificates,
        last_surge_at=by_wall_clock(surge.seen_at, now=now),
        last_surge=surge.text,
        spool_displaced=spool.displaced,
        last_rescue_at=None if flow.rescue is None else by_wall_clock(flow.rescue.at, now=now),
        last_rescue="" if flow.rescue is None else flow.rescue.detail,
    )


def by_wall_clock(moment: float | None, *, now: float) -> float | None:
    """A moment of the monotonic clock in seconds since the epoch, by the wall clock as it is now."""
    return None if moment is None else now - (time.monotonic() - moment)
