"""`tie-forwarder decode`: what would become of a payload, without a fabric, a spool or a Kafka."""

from __future__ import annotations

import base64
import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from tie_forwarder.config import load
from tie_forwarder.config.kafka import Kafka, Topics
from tie_forwarder.config.sections import Dxl, Filters
from tie_forwarder.errors import ForwarderError
from tie_forwarder.events.message import TOPICS, Message
from tie_forwarder.events.reasons import Reason
from tie_forwarder.filters import load_filters
from tie_forwarder.intake import Accepted, Filtered, Intake
from tie_forwarder.printing import is_printable
from tie_forwarder.records.formats import FORMATS
from tie_forwarder.records.formats.format import RAW

_MAX_READ = 16 * 1024 * 1024


@click.command
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--kind", type=click.Choice(list(TOPICS)), help="The kind of event.  [default: detection]")
@click.option("--topic", help="The DXL topic that carried the payload, instead of --kind.")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help="Render in this format.  [default: json]")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Configuration file, for its topics, key, formats, fabric and filters.  [default: the built-in defaults]",
)
def decode(file: Path, kind: str | None, topic: str | None, form: str | None, config: Path | None) -> None:
    """Show what would become of a payload.

    FILE holds the payload of one DXL message as it was on the wire; - is the standard input. Prints the Kafka record,
    the dead letter with its reason, or the filter that keeps the event back, as one JSON object; each ends with 0. The
    message is taken to have arrived now and without an id, so the event id is made from topic and payload; every kind
    counts as forwarded. In the format raw the value is shown as text.
    """
    if kind and topic:
        raise click.UsageError("--kind and --topic say the same; give one of them")
    payload = _read(file)
    dxl, kafka, filters = Dxl(), Kafka(), Filters()
    if config is not None:
        loaded = load(config)
        dxl, kafka, filters = loaded.dxl, loaded.kafka, loaded.filters
    intake = Intake(
        fabric=dxl.fabric,
        key_by=kafka.key,
        kinds=tuple(TOPICS),
        formats=dict.fromkeys(TOPICS, form) if form else kafka.format.by_kind(),
        filters=load_filters(filters),
    )
    message = Message("", topic or TOPICS[kind or "detection"], "", "", payload, time.time_ns() // 1_000_000)
    accepted = intake.accept(message)
    click.echo(_as_json(_shown(accepted, kafka.topics)).encode())


def _read(file: Path) -> bytes:
    name = "the standard input" if str(file) == "-" else str(file)
    try:
        if str(file) == "-":
            payload = sys.stdin.buffer.read(_MAX_READ + 1)
        else:
            with file.open("rb") as stream:
                payload = stream.read(_MAX_READ + 1)
    except OSError as error:
        raise ForwarderError(
            f"cannot read {name}: {error.strerror or error}", remedy="give a file that holds one payload"
        ) from error
    if len(payload) > _MAX_READ:
        raise ForwarderError(
            f"{name} is larger than {_MAX_READ} bytes", remedy="a DXL message has at most 1 MiB; give one payload"
        )
    return payload


def _shown(accepted: Accepted | Filtered, topics: Topics) -> dict[str, Any]:
    if isinstance(accepted, Filtered):
        return {"filtered": {"kind": accepted.kind, "filter": accepted.by.name, "meaning": accepted.by.meaning}}
    record = accepted.record
    topic = topics.name_of(record.destination)
    headers = {name: value.decode() for name, value in record.headers}
    if accepted.reason is not None:
        return {
            "dead_letter": {
                "topic": topic,
                "reason": accepted.reason,
                "meaning": Reason(accepted.reason).description,
                "detail": headers.get("detail", ""),
                "timestamp": record.received_at_ms,
                "headers": headers,
                "value_base64": base64.b64encode(record.value).decode(),
            }
        }
    return {
        "record": {
            "topic": topic,
            "key": None if record.key is None else record.key.decode(),
            "timestamp": record.received_at_ms,
            "headers": headers,
            "value": _value(record.value, headers["content-type"]),
        }
    }


def _value(value: bytes, content_type: str) -> Any:
    return value.decode("utf-8", "backslashreplace") if content_type == RAW.content_type.decode() else json.loads(value)


def _as_json(value: Any) -> str:
    """Readable text, with what could control a terminal escaped: it comes from the payload."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(
        character if is_printable(character) or character == "\n" else json.dumps(character)[1:-1] for character in text
    )
