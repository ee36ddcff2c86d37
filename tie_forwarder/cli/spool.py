"""`tie-forwarder spool`: what is in a spool, whether it is sound, its events as NDJSON, and its repair.

All but `repair` only read, so they may be used beside a running daemon.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from tie_forwarder.cli import config_options
from tie_forwarder.cli.new_file import new_file

if TYPE_CHECKING:
    from tie_forwarder.spool.survey import Survey

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
    from tie_forwarder.cli.spool_text import overview, overview_lines

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
    from tie_forwarder.cli.progress import progress
    from tie_forwarder.cli.spool_text import examination, examination_lines
    from tie_forwarder.spool.examination import examine

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
    from tie_forwarder.cli.progress import progress
    from tie_forwarder.demo.interruption import Interruption
    from tie_forwarder.spool.survey import Survey, Unwatched

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
    from tie_forwarder.cli.spool_text import exported_line

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
    from tie_forwarder.cli.progress import progress
    from tie_forwarder.cli.spool_text import repaired_lines
    from tie_forwarder.spool import repair as repairing

    place = place_of(config, overrides, directory)
    with progress() as steps:
        done = repairing.repair(place.directory, steps=steps)
    click.echo("\n".join(repaired_lines(place.directory, done)))
    return 0
