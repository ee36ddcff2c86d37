"""`tie-forwarder spool`: what is in a spool, whether it is sound, its events as NDJSON, and repairing it."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from tie_forwarder.cli import config_options
from tie_forwarder.cli.shared import new_file
from tie_forwarder.errors import ForwarderError
from tie_forwarder.printing import printable
from tie_forwarder.records.record import rfc3339, rfc3339_milliseconds
from tie_forwarder.spool import set_aside
from tie_forwarder.spool.files import read_file
from tie_forwarder.spool.inspect import Survey, Unwatched, glance
from tie_forwarder.status.wording import number, size

if TYPE_CHECKING:
    from tie_forwarder.records.record import Row
    from tie_forwarder.spool.inspect import Examination
    from tie_forwarder.spool.repair import Repaired


_POSITIONS_SHOWN = 10


def overview(place: Place) -> dict[str, Any]:
    """What is in the spool, from outside. ForwarderError where a newer version wrote it."""
    seen = glance(place.directory)
    said: dict[str, Any] = {
        "directory": str(place.directory),
        "holder": seen.holder,
        "events": seen.events,
        "events_by_destination": {},
        "bytes": seen.bytes,
        "limit_bytes": place.max_bytes,
        "first_position": None,
        "last_position": None,
        "oldest_received_at": None,
        "newest_received_at": None,
        "damaged": list(seen.damaged),
        "set_aside": _lines_in(place.directory / set_aside.FILE_NAME),
        "trouble": seen.trouble,
    }
    if seen.events:
        try:
            with Survey(place.directory, steps=Unwatched()) as survey:
                found = survey.contents()
        except ForwarderError as error:
            return {**said, "trouble": error.message}
        said |= {
            "events_by_destination": found.by_destination,
            "first_position": found.first_position,
            "last_position": found.last_position,
            "oldest_received_at": _moment(found.oldest_received_at_ms),
            "newest_received_at": _moment(found.newest_received_at_ms),
        }
    return said


def overview_lines(said: dict[str, Any]) -> Iterator[str]:
    """The same in words."""
    yield _field("spool", said["directory"])
    yield _field("held by", "nobody" if said["holder"] is None else f"process {said['holder']}")
    events = "unknown" if said["events"] is None else number(said["events"])
    limit = "" if said["limit_bytes"] is None else f" of {size(said['limit_bytes'])}"
    yield _field("events", f"{events}, {size(said['bytes'])}{limit}")
    for destination, count in said["events_by_destination"].items():
        yield _field("", f"{destination} {number(count)}")
    if said["oldest_received_at"]:
        yield _field("received", f"from {said['oldest_received_at']} to {said['newest_received_at']}")
        yield _field("positions", f"{said['first_position']} to {said['last_position']}")
    if said["damaged"]:
        yield _field("damaged", f"{', '.join(said['damaged'])}: set aside earlier, and kept for a person")
    if said["set_aside"]:
        yield _field("set aside", f"{number(said['set_aside'])} events in {set_aside.FILE_NAME}")
    if said["trouble"]:
        yield _field("trouble", f"{said['trouble']}; see `tie-forwarder spool check`")


def examination(directory: Path, found: Examination) -> dict[str, Any]:
    """What was found, and what a repair would do."""
    return {
        "directory": str(directory),
        "holder": found.holder,
        "sound": found.is_sound,
        "damage": found.structure,
        "events_sound": found.sound,
        "events_by_destination": found.by_destination,
        "events_unreadable": found.unreadable,
        "damaged_positions": list(found.corrupt),
        "repair": _plan(found),
    }


def examination_lines(said: dict[str, Any]) -> Iterator[str]:
    """The same in words."""
    yield _field("spool", said["directory"])
    yield _field("held by", "nobody" if said["holder"] is None else f"process {said['holder']}")
    yield _field("sound", "not tried" if said["events_sound"] is None else f"{number(said['events_sound'])} events")
    if said["events_unreadable"]:
        yield _field("unreadable", f"{number(said['events_unreadable'])} events{_places(said['damaged_positions'])}")
    if said["damage"]:
        yield _field("damage", said["damage"])
    yield _field("repair", said["repair"])


def repaired_lines(directory: Path, done: Repaired) -> Iterator[str]:
    """What a repair has done."""
    yield _field("spool", str(directory))
    mended = done.recovery
    if mended.set_aside is not None:
        yield _field("damage", mended.reason)
        yield _field("kept", f"{number(mended.events_kept)} events in a new file")
        yield _field("unreadable", f"{number(mended.events_lost)} events, as far as the old file tells")
        yield _field("set aside", f"the old file, as it was, in {mended.set_aside.name}")
    if done.rows_set_aside:
        yield _field("set aside", f"{number(done.rows_set_aside)} damaged events in {set_aside.FILE_NAME}")
    if mended.set_aside is None and not done.rows_set_aside:
        yield _field("damage", "none was found, and nothing was changed")
    yield _field("events", f"{number(done.events)} in the spool")


def exported_line(row: Row, topics: Mapping[str, str]) -> str:
    """A row as one line of JSON, in ASCII."""
    record = row.record
    said = {
        "position": row.position,
        "destination": record.destination,
        "topic": topics.get(record.destination),
        "event_id": record.event_id,
        **_bytes("key", record.key),
        **_bytes("value", record.value),
        "headers": [{"name": name, **_bytes("value", value)} for name, value in record.headers],
        "received_at": _moment(record.received_at_ms),
        "received_at_ms": record.received_at_ms,
        "detected_at": None if row.detected_at is None else _text(rfc3339(row.detected_at)),
    }
    # JSON escapes all controls but DEL.
    return json.dumps(said).replace("\x7f", "\\u007f") + "\n"


def _plan(found: Examination) -> str:
    if found.is_sound:
        return "would change nothing"
    if not found.structure:
        count = number(len(found.corrupt))
        return f"would move {count} damaged events into {set_aside.FILE_NAME}, and change nothing else"
    move = "move the file, as it is, into a folder damaged-TIME beside it"
    if found.sound is None:
        reason = "there is no temporary directory (TMPDIR) with room for two copies of it"
        return f"would keep in a new file what can be read, and {move}; how much that is was not tried: {reason}"
    return f"would keep {number(found.sound)} events in a new file, and {move}"


def _lines_in(path: Path) -> int:
    with suppress(OSError):
        return read_file(path).count(b"\n")
    return 0


def _places(positions: list[int]) -> str:
    if not positions:
        return ""
    more = ", ..." if len(positions) > _POSITIONS_SHOWN else ""
    return f", at the positions {', '.join(map(str, positions[:_POSITIONS_SHOWN]))}{more}"


def _bytes(name: str, content: bytes | None) -> dict[str, str | None]:
    if content is None:
        return {name: None}
    try:
        return {name: content.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(content).decode()}


def _moment(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else _text(rfc3339_milliseconds(milliseconds))


def _text(moment: bytes | None) -> str | None:
    """None also for a time that no calendar has."""
    return None if moment is None else moment.decode()


def _field(name: str, text: str) -> str:
    return f"{name:<11} {printable(text)}"


DAMAGED = 7
"""The exit code where damage was found; the others mean the same as for every verb."""

_INTERRUPTED = 130

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Place(NamedTuple):
    """The spool that is meant."""

    directory: Path
    max_bytes: int | None
    """The limit; None where only the directory is known, as with `topics`."""
    topics: Mapping[str, str]
    """The topic of each destination."""


def place_options(command: _Command) -> _Command:
    """Gives a verb `--directory` beside the options of the configuration."""
    directory = click.option(
        "--directory",
        type=click.Path(path_type=Path),
        help="This spool instead of that of the configuration, which is not read: a copy, or a folder damaged-....",
    )
    return config_options(directory(command))


def place_of(config: Path | None, overrides: Mapping[str, str], directory: Path | None) -> Place:
    """Where the spool is. ConfigError where that depends on a configuration that is wrong."""
    if directory is not None:
        if config is not None or overrides:
            raise click.UsageError("--config and --set do not go with --directory")
        return Place(directory, None, {})
    from tie_forwarder.config import load

    loaded = load(config, overrides=overrides)
    return Place(loaded.spool.directory, int(loaded.spool.max_bytes), loaded.kafka.topics.by_destination())


@click.group
def spool() -> None:
    """Look into a spool, check it, export it, repair it.

    With a daemon that runs or without one; only repair wants it stopped.
    """


@spool.command
@place_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(config: Path | None, overrides: Mapping[str, str], directory: Path | None, as_json: bool) -> int:
    """Show what is in the spool and who holds it.

    Changes nothing. Ends with 7 when its file cannot be read or is under suspicion; `spool check` tells more.
    """

    found = overview(place_of(config, overrides, directory))
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(overview_lines(found)))
    return DAMAGED if found["trouble"] else 0


@spool.command
@place_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check(config: Path | None, overrides: Mapping[str, str], directory: Path | None, as_json: bool) -> int:
    """Check the file and every event, and say what repair would do.

    Changes nothing. Ends with 0 when all is sound, and with 7 when something is damaged. A damaged file is tried in
    the directory that TMPDIR names, which should have room for two of it.
    """
    from tie_forwarder.cli.shared import progress
    from tie_forwarder.spool.inspect import examine

    place = place_of(config, overrides, directory)
    with progress() as steps:
        found = examine(place.directory, steps=steps)
    said = examination(place.directory, found)
    click.echo(json.dumps(said, indent=2) if as_json else "\n".join(examination_lines(said)))
    return 0 if found.is_sound else DAMAGED


@spool.command
@place_options
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="To this file, which must not exist.")
def export(config: Path | None, overrides: Mapping[str, str], directory: Path | None, output: Path | None) -> int:
    """Write the events of the spool as NDJSON.

    One object a line, in order: position, destination and topic, event id, key, value, headers, times. What is no
    UTF-8 is base64, under a name that ends in _base64. Changes nothing: the events stay in the spool, and a daemon
    publishes them all the same. What is damaged is left out and counted; it ends with 7 then.
    """
    from tie_forwarder.cli.shared import progress
    from tie_forwarder.interruption import Interruption
    from tie_forwarder.spool.inspect import Survey, Unwatched

    place = place_of(config, overrides, directory)
    # A bar between the events on the same terminal would help nobody.
    bar = nullcontext(Unwatched()) if output is None and sys.stdout.isatty() else progress()
    with (
        Interruption() as interruption,
        bar as steps,
        Survey(place.directory, steps=steps) as survey,
        nullcontext(sys.stdout.buffer) if output is None else new_file(output) as stream,
    ):
        exported = _write(survey, place.topics, stream, lambda: interruption.requested)
        interrupted = interruption.requested
    damaged = len(survey.corrupt) + survey.unreachable
    left_out = f"; {damaged} left out, which are damaged" if damaged or survey.trouble else ""
    click.echo(f"{exported} events exported{left_out}", err=True)
    return _INTERRUPTED if interrupted else DAMAGED if left_out else 0


def _write(survey: Survey, topics: Mapping[str, str], stream: IO[bytes], stopped: Callable[[], bool]) -> int:

    count = 0
    for row in survey.rows("exporting"):
        stream.write(exported_line(row, topics).encode())
        count += 1
        if stopped():
            break
    stream.flush()
    return count


@spool.command
@place_options
def repair(config: Path | None, overrides: Mapping[str, str], directory: Path | None) -> int:
    """Make a damaged spool sound.

    Refuses while a process holds the spool. Deletes nothing: a damaged file moves into a folder damaged-TIME beside the
    new one, damaged events of a sound file move into set-aside.ndjson. To be run by the user that the daemon runs as.
    """
    from tie_forwarder.cli.shared import progress
    from tie_forwarder.spool import repair as repairing

    place = place_of(config, overrides, directory)
    with progress() as steps:
        done = repairing.repair(place.directory, steps=steps)
    click.echo("\n".join(repaired_lines(place.directory, done)))
    return 0
