"""The gauges: what the parts say of themselves at the moment, put into the metrics each turn."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tie_forwarder.config import Config
from tie_forwarder.config.inspection import Certificate
from tie_forwarder.health import Assessment
from tie_forwarder.metrics import Metrics
from tie_forwarder.spool import Spool
from tie_forwarder.supervisor.publisher_watch import PublisherWatch
from tie_forwarder.supervisor.receiver_watch import Reception


def export(
    metrics: Metrics,
    *,
    config: Config,
    assessment: Assessment,
    spool: Spool,
    spool_oldest_at: float | None,
    receiver: Reception,
    publisher: PublisherWatch,
    certificates: Iterable[Certificate],
) -> None:
    """Sets every gauge. Asks nothing that could block."""
    metrics.spool_events.set(spool.events)
    metrics.spool_bytes.set(spool.bytes)
    metrics.spool_limit_bytes.set(spool.max_bytes)
    metrics.spool_oldest.set(spool_oldest_at or 0)
    metrics.kafka_connected.set(publisher.connected)
    metrics.dxl_connected.set(receiver.ready)
    metrics.receiver_queue.set(receiver.queue)
    metrics.set_state(assessment.state)
    metrics.state_since.set(assessment.since)
    conditions = {(problem.state, problem.reason) for problem in assessment.problems}
    metrics.set_problems(conditions or {(assessment.state, assessment.reason)})
    metrics.group_info.labels(config.group.name, config.group.member).set(1)
    metrics.set_role(publisher.role.role)
    with suppress(OSError):
        metrics.spool_disk_free.set(_free_bytes(config.spool.directory))
    for certificate in certificates:
        metrics.certificate_expiry.labels(certificate.role).set(certificate.ends_at)


def _free_bytes(directory: Path) -> int:
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize
