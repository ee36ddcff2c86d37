"""`tie-forwarder find`: where an event is, or all events about a file.

Looks into the spool first and into Kafka afterwards, so that what is published meanwhile is not missed. Only reads.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from tie_forwarder.cli import config_options
from tie_forwarder.cli.shared import as_moment
from tie_forwarder.errors import ForwarderError
from tie_forwarder.printing import printable
from tie_forwarder.records.dead_letter import REPLAYED_AT, REPLAYED_TIME, REPLAYED_TO
from tie_forwarder.records.record import rfc3339, rfc3339_milliseconds
from tie_forwarder.spool.database import FILE_NAME
from tie_forwarder.spool.inspect import Steps, Survey

if TYPE_CHECKING:
    from tie_forwarder.config import Config
    from tie_forwarder.kafka.queries import OutputReader, OutputRecord
    from tie_forwarder.records.record import Row


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Wanted(NamedTuple):
    """One of both is empty."""

    event_id: str
    sha256: str

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """A UUID, with braces or without, or a SHA-256 in hex. Raises ValueError."""
        name = text.strip().strip("{}").lower()
        if _UUID.fullmatch(name):
            return cls(name, "")
        if _SHA256.fullmatch(name):
            return cls("", name)
        raise ValueError(f"{text!r} is neither the id of an event (a UUID) nor a SHA-256 (64 hexadecimal digits)")

    def is_meant(self, headers: Sequence[tuple[str, bytes]], value: bytes) -> bool:
        """Whether a record is one of those that are looked for.

        A file's digest is found in every format of the value, and in a dead letter as TIE writes it.
        """
        if self.event_id:
            return any(name == "ce_id" and content == self.event_id.encode() for name, content in headers)
        in_hex = self.sha256.encode()
        if any(name == "ce_subject" and content == in_hex for name, content in headers):
            return True
        # JSON may write a slash as \\/.
        in_base64 = base64.b64encode(bytes.fromhex(self.sha256))
        return in_hex in value.lower() or in_base64 in value.replace(b"\\/", b"/")


Place = Literal["spool", "output", "dead_letters", "replayed"]
"""`replayed` is the marker beside a dead letter that says that it was."""

Sighting = dict[str, Any]


def in_spool(row: Row, *, topic: str | None) -> Sighting:
    """It waits for Kafka, for `topic`."""
    record = row.record
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    return {
        "place": "spool",
        "position": row.position,
        "destination": record.destination,
        "topic": topic,
        "event_id": record.event_id,
        "received_at": _moment(rfc3339_milliseconds(record.received_at_ms)),
        "event_time": None if row.detected_at is None else _moment(rfc3339(row.detected_at)),
        "reason": headers.get("reason"),
        "detail": headers.get("detail"),
    }


def in_kafka(record: OutputRecord, *, dead_letters: str) -> Sighting:
    """It stands in a topic; `dead_letters` is the name of the one for those."""
    marker = record.topic == dead_letters and bool(record.header(REPLAYED_AT))
    place: Place = "replayed" if marker else "dead_letters" if record.topic == dead_letters else "output"
    said = {
        "event_id": record.header("ce_id"),
        "received_at": record.header("ce_receivedtime") or record.header("received_at"),
        "event_time": record.header("ce_time"),
        "timestamp": _moment(rfc3339_milliseconds(record.timestamp_ms)),
        "published_by": record.header("ce_forwarder"),
        "reason": record.header("reason"),
        "detail": record.header("detail"),
        "replayed_at": record.header(REPLAYED_TIME) or record.header(REPLAYED_AT),
        "replayed_to": record.header(REPLAYED_TO),
    }
    where = {"place": place, "topic": record.topic, "partition": record.partition, "offset": record.offset}
    return {**where, **{name: value or None for name, value in said.items()}}


def _moment(text: bytes | None) -> str | None:
    """None also for a time that no calendar has."""
    return None if text is None else text.decode()


class Search:
    """Looks for one thing. One thread; each method may block for long, and yields what it sees as soon as it does."""

    def __init__(self, wanted: Wanted, *, steps: Steps, interrupted: Callable[[], bool]) -> None:
        self._wanted = wanted
        self._steps = steps
        self._interrupted = interrupted
        self.records = 0
        """How many records of Kafka were looked at."""

    def spool(self, directory: Path, *, topics: Mapping[str, str]) -> Iterator[Sighting]:
        """What waits in the spool; nothing where there is none. Raises ForwarderError where it cannot be read."""
        if not (directory / FILE_NAME).exists():
            return
        with Survey(directory, steps=self._steps) as survey:
            if self._wanted.event_id:
                row = survey.row(self._wanted.event_id)
                rows = iter(() if row is None else (row,))
            else:
                rows = survey.rows("looking through the spool")
            for row in rows:
                if self._wanted.event_id or self._wanted.is_meant(row.record.headers, row.record.value):
                    yield in_spool(row, topic=topics.get(row.record.destination))
                if self._interrupted():
                    return

    def kafka(self, reader: OutputReader, *, dead_letters: str, since_ms: int, every: bool) -> Iterator[Sighting]:
        """What stands in Kafka with a timestamp since then, the dead letters first. Raises ForwarderError.

        An event by its id stands in the output once, so it is not looked for beyond that, unless `every`.
        """
        begins, ends = reader.begins(since_ms), reader.ends(committed=True)
        once = bool(self._wanted.event_id) and not every
        for what, is_dead in (("looking through the dead letters", True), ("looking through the output", False)):
            places = [place for place in ends if (place[0] == dead_letters) == is_dead]
            self._steps.begin(what, sum(max(0, ends[place] - begins[place]) for place in places))
            reading = reader.read({place: ends[place] for place in places}, begins=begins)
            for records in reading:
                self.records += len(records)
                seen = [record for record in records if self._wanted.is_meant(record.headers, record.value or b"")]
                yield from (in_kafka(record, dead_letters=dead_letters) for record in seen)
                self._steps.left(reader.unread)
                if self._interrupted():
                    return
                if seen and once and not is_dead:
                    break


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
    from tie_forwarder.cli.shared import progress
    from tie_forwarder.config import load
    from tie_forwarder.interruption import Interruption

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
    from tie_forwarder.kafka.queries import OutputReader
    from tie_forwarder.settings import connection_settings

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
