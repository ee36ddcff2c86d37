"""What each child is told at its start, made from the configuration."""

from __future__ import annotations

from typing import Any

from tie_forwarder.config import Config
from tie_forwarder.publisher.settings import connection_settings


def receiver_configuration(config: Config) -> dict[str, Any]:
    """For the receiver process."""
    dxl = config.dxl
    return {
        "log_level": config.log.level,
        "config_file": str(dxl.config_file),
        "keep_alive_seconds": dxl.keep_alive_seconds,
        "canary_interval_seconds": dxl.canary_interval_seconds,
        "queue_events": dxl.receiver_queue_events,
    }


def publisher_configuration(config: Config) -> dict[str, Any]:
    """For the publisher process; reads secret files now, so that a renewed one is taken up. Raises ForwarderError."""
    kafka = config.kafka
    kinds = {*config.dxl.events, "dead_letter"}
    return {
        "log_level": config.log.level,
        "delivery": kafka.delivery,
        "connection": connection_settings(kafka),
        "options": dict(kafka.producer),
        "topics": {kind: topic for kind, topic in kafka.topics.by_destination().items() if kind in kinds},
        "member": config.group.member,
        "group": config.group.name,
        "takeover_after_seconds": config.group.takeover_after_seconds,
        "margin_seconds": config.group.margin_seconds,
        "spool_directory": str(config.spool.directory),
    }
