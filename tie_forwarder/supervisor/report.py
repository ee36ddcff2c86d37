"""What /status shows: the assessment, the parts, the ledger, as one JSON object."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from tie_forwarder import __version__
from tie_forwarder.config import Config
from tie_forwarder.config.inspection import Certificate
from tie_forwarder.health import Assessment
from tie_forwarder.spool import Spool
from tie_forwarder.supervisor.guard import Guard
from tie_forwarder.supervisor.publisher_watch import PublisherWatch
from tie_forwarder.supervisor.receiver_watch import ReceiverWatch

_DAY = 86_400


def status_report(
    *,
    config: Config,
    assessment: Assessment,
    started_at: float,
    now: float,
    receiver: ReceiverWatch,
    receiver_guard: Guard,
    publisher: PublisherWatch,
    publisher_guard: Guard,
    spool: Spool,
    ledger: dict[str, int],
    certificates: tuple[Certificate, ...],
) -> dict[str, Any]:
    """The report as JSON values. No secret is in it."""
    return {
        "state": assessment.state,
        "reason": assessment.reason,
        "since": timestamp(assessment.since),
        "remedy": assessment.remedy,
        "problems": [problem._asdict() for problem in assessment.problems],
        "group": group_report(config, publisher),
        "receiver": {
            "pid": receiver_guard.pid,
            "phase": receiver.status.phase,
            "ready": receiver.ready,
            "canary_answered_seconds_ago": receiver.status.canary_answered_seconds_ago,
            "queue_events": receiver.status.queue,
            "last_trouble": receiver.status.trouble,
            "last_restart": _restart(receiver_guard),
        },
        "spool": {
            "events": spool.events,
            "bytes": spool.bytes,
            "limit_bytes": spool.max_bytes,
            "when_full": config.spool.when_full,
            "oldest_received_at": _optional(spool.oldest_received_at_ms),
        },
        "publisher": {
            "pid": publisher_guard.pid,
            "connected": publisher.connected,
            "delivery": config.kafka.delivery,
            "waiting_seconds": round(publisher.waiting_seconds, 1),
            "trouble": None if publisher.trouble is None else vars(publisher.trouble),
            "last_restart": _restart(publisher_guard),
        },
        "certificates": [
            {
                "role": certificate.role,
                "file": str(certificate.path),
                "ends": timestamp(certificate.ends_at),
                "days_left": int((certificate.ends_at - now) // _DAY),
            }
            for certificate in certificates
        ],
        "ledger": ledger,
        "started": timestamp(started_at),
        "version": __version__,
    }


def group_report(config: Config, publisher: PublisherWatch) -> dict[str, Any]:
    """This member's part in its group."""
    role = publisher.role
    return {
        "name": config.group.name,
        "member": config.group.member,
        "role": role.role,
        "reason": role.reason,
        "since": timestamp(role.since),
        "takeovers": dict(publisher.takeovers),
        "tail": None if publisher.resume is None else publisher.resume["positions"],
    }


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _optional(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else timestamp(milliseconds / 1000)


def _restart(guard: Guard) -> dict[str, str] | None:
    return None if guard.last_restart is None else vars(guard.last_restart)
