"""`tie-forwarder find`: where an event is, or all events about a file."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tie_forwarder.cli import config_options
from tie_forwarder.cli.since import as_moment
from tie_forwarder.errors import ForwarderError
from tie_forwarder.printing import printable
from tie_forwarder.records.text import rfc3339_milliseconds

if TYPE_CHECKING:
    from tie_forwarder.config import Config
    from tie_forwarder.tracing.search import Search

UNKNOWN = 8
"""The exit code where nothing was found; the others mean the same as for every verb."""

_INTERRUPTED = 130
_TITLES = {
    "spool": "in the spool: received, and not yet in Kafka",
    "output": "in Kafka",
    "dead_letters": "among the dead letters",
    "replayed": "replayed",
}
_NAMES = {
    "received_at": "received at",
    "event_time": "event's time",
    "timestamp": "timestamp",
    "published_by": "published by",
    "reason": "reason",
    "detail": "detail",
    "replayed_at": "replayed at",
    "replayed_to": "replayed to",
}


@click.command
@click.argument("wanted", metavar="EVENT_ID|SHA256")
@config_options
@click.option(
    "--since",
    metavar="TIME",
    default="24h",
    show_default=True,
    callback=as_moment,
    help="In Kafka, only what was received since then: 90m, 7d, 2026-11-24 or 2026-11-24T06:30:00Z.",
)
@click.option("--all", "every", is_flag=True, help="Look through all records, though the event was found.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def find(wanted: str, config: Path | None, overrides: Mapping[str, str], since: int, every: bool, as_json: bool) -> int:
    """Say where an event is.

    By the id of the event (ce_id) or the SHA-256 of a file: in the spool, in Kafka with topic, partition and offset,
    among the dead letters, or unknown; with the times that are known. Ends with 0 when something was found, else 8.
    Changes nothing, joins no consumer group, and needs the right to read the topics.
    """
    from tie_forwarder.cli.progress import progress
    from tie_forwarder.config import load
    from tie_forwarder.demo.interruption import Interruption
    from tie_forwarder.tracing.search import Search
    from tie_forwarder.tracing.wanted import Wanted

    try:
        meant = Wanted.parse(wanted)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="EVENT_ID|SHA256") from None
    loaded = load(config, overrides=overrides)
    sightings: list[dict[str, Any]] = []
    troubles: list[ForwarderError] = []
    with Interruption() as interruption, progress() as steps:
        search = Search(meant, steps=steps, interrupted=lambda: interruption.requested)
        sightings += _seen(search, loaded, since, every, troubles)
        interrupted = interruption.requested
    if troubles and not sightings:
        raise troubles[0]
    said = {
        "wanted": meant.event_id or meant.sha256,
        "found": sightings,
        "looked_through": {"records": search.records, "since": (rfc3339_milliseconds(since) or b"").decode()},
        "not_looked_at": [str(trouble) for trouble in troubles],
        "complete": not interrupted and not troubles,
    }
    # JSON escapes all controls but DEL.
    click.echo(json.dumps(said, indent=2).replace("\x7f", "\\u007f") if as_json else "\n".join(_lines(said)))
    return _INTERRUPTED if interrupted else 0 if sightings else UNKNOWN


def _seen(
    search: Search, config: Config, since: int, every: bool, troubles: list[ForwarderError]
) -> list[dict[str, Any]]:
    """Everything that was seen; where one of both places cannot be looked at, the other one still is."""
    sightings: list[dict[str, Any]] = []
    for look in (_in_spool(search, config), _in_kafka(search, config, since, every)):
        try:
            sightings += look
        except ForwarderError as error:
            troubles.append(error)
    return sightings


def _in_spool(search: Search, config: Config) -> Iterator[dict[str, Any]]:
    yield from search.spool(config.spool.directory, topics=config.kafka.topics.by_destination())


def _in_kafka(search: Search, config: Config, since: int, every: bool) -> Iterator[dict[str, Any]]:
    from tie_forwarder.kafka_queries import OutputReader
    from tie_forwarder.supervisor.blueprint import connection_settings

    logging.getLogger("kafka").addHandler(logging.NullHandler())  # what it has to say stands in the errors
    topics = config.kafka.topics
    names = [topics.by_destination()[kind] for kind in (*config.dxl.events, "dead_letter")]
    with OutputReader(connection=connection_settings(config.kafka), topics=names) as reader:
        yield from search.kafka(reader, dead_letters=topics.dead_letter, since_ms=since, every=every)


def _lines(said: dict[str, Any]) -> Iterator[str]:
    for found in said["found"]:
        yield from _sighting(found)
    looked = said["looked_through"]
    if not said["found"]:
        yield f"unknown: neither in the spool nor among {looked['records']} records in Kafka since {looked['since']}"
        yield "It was never received, it was filtered, it is older (see --since), or Kafka has deleted it by retention."
    for trouble in said["not_looked_at"]:
        yield f"not everything could be looked at: {printable(trouble)}"


def _sighting(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['event_id'] and printable(found['event_id'])}  {_TITLES[found['place']]}"
    if found["place"] == "spool":
        meant_for = found["topic"] or found["destination"]
        yield f"    {'stands at':<13} position {found['position']}, for {printable(meant_for)}"
    else:
        yield f"    {'stands in':<13} {found['topic']}, partition {found['partition']}, offset {found['offset']}"
    for name, title in _NAMES.items():
        if found.get(name):
            yield f"    {title:<13} {printable(found[name])}"
