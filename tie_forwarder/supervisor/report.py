"""What /status shows: the assessment, the parts, the ledger, as one JSON object."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from tie_forwarder import __version__
from tie_forwarder.config import Config
from tie_forwarder.config.inspection import Certificate
from tie_forwarder.health import Assessment
from tie_forwarder.parts import Part
from tie_forwarder.spool import Spool
from tie_forwarder.status_words import timestamp
from tie_forwarder.supervisor.growth import Growth
from tie_forwarder.supervisor.guard import Guard
from tie_forwarder.supervisor.last_letters import LastLetters
from tie_forwarder.supervisor.peers import Peers
from tie_forwarder.supervisor.publisher_watch import PublisherWatch
from tie_forwarder.supervisor.rates import Rates
from tie_forwarder.supervisor.receiver_guard import ReceiverGuard
from tie_forwarder.supervisor.receiver_watch import Reception

VERSIONS = {
    "tie-forwarder": __version__,
    "python": platform.python_version(),
    **{name: version(name) for name in ("dxlclient", "dxltieclient", "kafka-python")},
}

_DAY = 86_400
_FLOWING_SECONDS = 10.0


def status_report(
    *,
    config: Config,
    assessment: Assessment,
    started_at: float,
    now: float,
    receiver: Reception,
    receiver_guard: ReceiverGuard,
    publisher: PublisherWatch,
    publisher_guard: Guard,
    peers: Peers,
    parts: Sequence[Part],
    spool: Spool,
    spool_oldest_at: float | None,
    growth: Growth,
    ledger: dict[str, int],
    rates: Rates,
    letters: LastLetters,
    certificates: tuple[Certificate, ...],
) -> dict[str, Any]:
    """The report as JSON values. No secret is in it."""
    return {
        "state": assessment.state,
        "reason": assessment.reason,
        "since": timestamp(assessment.since),
        "remedy": assessment.remedy,
        "problems": [problem._asdict() for problem in assessment.problems],
        "parts": [part._asdict() for part in parts],
        "group": group_report(config, publisher, peers),
        "receiver": {
            "pid": receiver_guard.pid,
            "phase": receiver.status.phase,
            "ready": receiver.ready,
            "fabric": config.dxl.fabric,
            "events": list(config.dxl.events),
            "canary_answered_seconds_ago": receiver.status.canary_answered_seconds_ago,
            "queue_events": receiver.queue,
            "last_trouble": receiver.status.trouble if receiver.fault is None else receiver.fault.text,
            "last_restart": _restart(receiver_guard),
            "successor_pid": receiver_guard.successor_pid,
        },
        "spool": {
            "events": spool.events,
            "bytes": spool.bytes,
            "limit_bytes": spool.max_bytes,
            "when_full": config.spool.when_full,
            "oldest_received_at": None if spool_oldest_at is None else timestamp(spool_oldest_at),
            "full_in_seconds": _full_in_seconds(spool, growth, spool_oldest_at, now),
        },
        "publisher": {
            "pid": publisher_guard.pid,
            "connected": publisher.connected,
            "kafka": list(config.kafka.bootstrap_servers),
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
        "rates": rates.report(),
        "dead_letters": {"total": letters.total, "last": letters.report(with_payload=config.http.show_payload_bytes)},
        "now": timestamp(now),
        "started": timestamp(started_at),
        "version": __version__,
        "versions": VERSIONS,
    }


def group_report(config: Config, publisher: PublisherWatch, peers: Peers) -> dict[str, Any]:
    """This member's part in its group."""
    role, published, heard = publisher.role, publisher.members, peers.heard_at
    return {
        "name": config.group.name,
        "member": config.group.member,
        "role": role.role,
        "reason": role.reason,
        "since": timestamp(role.since),
        "takeovers": dict(publisher.takeovers),
        "members": [
            {"name": name, "seen_publishing": _moment(published.get(name)), "heard": _moment(heard.get(name))}
            for name in {config.group.member: None, **heard, **published}
        ],
        "tail": None if publisher.resume is None else publisher.resume["positions"],
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(seconds)


def _full_in_seconds(spool: Spool, growth: Growth, oldest_at: float | None, now: float) -> int | None:
    """When the spool is full; None while what is in it has only just come, since then it flows."""
    if oldest_at is None or now - oldest_at < _FLOWING_SECONDS:
        return None
    seconds = growth.full_in_seconds(spool.max_bytes)
    return None if seconds is None else int(seconds)


def _restart(guard: Guard | ReceiverGuard) -> dict[str, str] | None:
    return None if guard.last_restart is None else vars(guard.last_restart)
