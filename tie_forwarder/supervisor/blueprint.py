"""What each child is told at its start, made from the configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from tie_forwarder.config import Config
from tie_forwarder.config.kafka import Kafka
from tie_forwarder.errors import ForwarderError
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.publisher.commands import NO_GAP, Gap
from tie_forwarder.records.formats import FORMATS
from tie_forwarder.records.registered_schema import registered_schema


def receiver_configuration(config: Config) -> dict[str, Any]:
    """For the receiver process; `group` is None where there are no groups."""
    dxl = config.dxl
    return {
        "log_level": config.log.level,
        "config_file": str(dxl.config_file),
        "events": list(dxl.events),
        "keep_alive_seconds": dxl.keep_alive_seconds,
        "canary_interval_seconds": dxl.canary_interval_seconds,
        "queue_events": dxl.receiver_queue_events,
        "group": config.group.name if config.kafka.delivery == "exactly_once" else None,
        "member": config.group.member,
    }


def publisher_configuration(
    config: Config,
    *,
    resume: dict[str, Any] | None,
    unlisted: Collection[str] = (),
    spool: tuple[int, int] | None = None,
    gap: Gap = NO_GAP,
) -> dict[str, Any]:
    """For the publisher process; `resume` is what its predecessor left, `unlisted` the kinds that it met besides,
    `spool` the file that this process has open, and `gap` the last gap in this member's receiving.

    Reads secret files now, so that a renewed one is taken up; raises ForwarderError when one cannot be read, or when a
    kind has no topic at all.
    """
    kafka = config.kafka
    topics = kafka.topics.by_destination()
    for kind in unlisted:
        if kind not in topics:
            raise ForwarderError(
                f"the spool has events of the kind {kind}, which this version does not know",
                remedy="install the version that put them there until they are published",
            )
    kinds = {*config.dxl.events, *unlisted, "dead_letter"}
    return {
        "log_level": config.log.level,
        "delivery": kafka.delivery,
        "connection": connection_settings(kafka),
        "options": dict(kafka.producer),
        "registry": registry_settings(kafka, kinds=[*config.dxl.events, *unlisted]),
        "topics": {kind: topic for kind, topic in topics.items() if kind in kinds},
        "member": config.group.member,
        "group": config.group.name,
        "takeover_after_seconds": config.group.takeover_after_seconds,
        "margin_seconds": config.group.margin_seconds,
        "resume": resume,
        "gap": list(gap),
        "spool_directory": str(config.spool.directory),
        "spool_identity": spool,
    }


def registry_settings(kafka: Kafka, *, kinds: Iterable[str]) -> dict[str, Any] | None:
    """The schema registry and the schemas of these kinds for it, by destination; None where there is none.

    Reads the secret file; raises ForwarderError when it cannot be read.
    """
    registry, formats = kafka.schema_registry, kafka.format.by_kind()
    if registry.url is None:
        return None
    return {
        "url": registry.url,
        "username": registry.username,
        "password": registry.read_password(),
        "ca_file": _text(registry.ca_file),
        # A registry that is new at a reload may meet a format without schemas, which stays until a restart.
        "schemas": {
            name: registered_schema(KINDS[name], formats[name]) for name in kinds if FORMATS[formats[name]].schema
        },
        "forms": formats,
    }


def connection_settings(kafka: Kafka) -> dict[str, Any]:
    """Where Kafka is and who we are to it. Reads secret files; raises ForwarderError when one cannot be read."""
    security = kafka.security
    settings: dict[str, Any] = {
        "bootstrap_servers": list(kafka.bootstrap_servers),
        "security_protocol": security.protocol.upper(),
    }
    if security.uses_tls:
        settings |= {
            "ssl_check_hostname": security.verify_hostname,
            "ssl_cafile": _text(security.ca_file),
            "ssl_certfile": _text(security.certificate_file),
            "ssl_keyfile": _text(security.key_file),
            "ssl_password": security.read_key_password(),
        }
    if security.uses_sasl:
        settings |= {
            "sasl_mechanism": security.sasl.mechanism,
            "sasl_plain_username": security.sasl.username,
            "sasl_plain_password": security.sasl.read_password(),
        }
    return settings


def _text(path: object) -> str | None:
    return None if path is None else str(path)
