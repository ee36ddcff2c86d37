"""What each child and each command receives, made from the configuration."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

from tie_forwarder.config import Config
from tie_forwarder.config.kafka import Kafka
from tie_forwarder.errors import ForwarderError
from tie_forwarder.events.event import Kind
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.group.commands import NO_GAP, Gap
from tie_forwarder.records.formats import FORMATS


def replay_id(group: str) -> str:
    """The transactional id of a group's replays."""
    return f"{group}-replay"


_DIALECT = "http://json-schema.org/draft-07/schema#"


def registered_schema(kind: Kind, form: str = "json") -> str:
    """The schema as text, always the same for the same version of the forwarder; of a format that has schemas."""
    made = FORMATS[form].schema
    assert made is not None, "the configuration refuses a registry for records without a schema"
    schema = {**made(kind), "$schema": _DIALECT}
    return json.dumps(_with_older_names(schema), separators=(",", ":"))


def _with_older_names(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_with_older_names(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    older = {"definitions" if name == "$defs" else name: _with_older_names(value) for name, value in schema.items()}
    if isinstance(older.get("$ref"), str):
        older["$ref"] = older["$ref"].replace("#/$defs/", "#/definitions/")
    return older


_SHORTEST_KEEP_ALIVE_SECONDS = 60
"""A broker that hangs for longer than 1.5 times the keep-alive disconnects its clients when it goes on."""


def receiver_configuration(config: Config) -> dict[str, Any]:
    """For the receiver process; `group` is None where there are no groups."""
    dxl = config.dxl
    return {
        "log_level": config.log.level,
        "config_file": str(dxl.config_file),
        "events": list(dxl.events),
        "keep_alive_seconds": max(dxl.keep_alive_seconds, _SHORTEST_KEEP_ALIVE_SECONDS),
        "canary_interval_seconds": dxl.canary_interval_seconds,
        "queue_events": dxl.receiver_queue_events,
        "group": config.group.name if config.kafka.delivery == "exactly_once" else None,
        "member": config.group.member,
    }


def publisher_configuration(
    config: Config,
    *,
    resume: dict[str, Any] | None,
    batch_rows: int | None = None,
    unlisted: Collection[str] = (),
    spool: tuple[int, int] | None = None,
    gap: Gap = NO_GAP,
) -> dict[str, Any]:
    """For the publisher process: `resume` and `batch_rows` are what its predecessor left, `unlisted` the kinds that it
    met besides, `spool` is the file that this process has open, and `gap` the last gap in this member's receiving.

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
        "batch_rows": batch_rows,
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
