"""`tie-forwarder dead-letters`: list what is dead and why, or show one letter whole.

A payload may have been made to harm whoever looks at it: it reaches a terminal only escaped. Its bytes are written only
to a new file or a pipe.
"""

from __future__ import annotations

import base64
import heapq
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tie_forwarder.cli import Count, config_options
from tie_forwarder.cli.shared import new_file, selection_options
from tie_forwarder.errors import ForwarderError
from tie_forwarder.events.reasons import Reason
from tie_forwarder.printing import printable, printable_lines, text_of
from tie_forwarder.records.record import rfc3339_milliseconds

if TYPE_CHECKING:
    from tie_forwarder.dead_letters.letters import DeadLetterTopic, Letter, Marker, Selection


_FIRST_BYTES = 100
_MEANINGS = {reason.value: reason.description for reason in Reason}


def summary(letter: Letter, marker: Marker | None) -> dict[str, Any]:
    """What is said of a letter in a list. Values as they came, so not yet fit for a terminal."""
    return {
        "event_id": letter.event_id,
        "received_at": _time(letter),
        "reason": letter.reason,
        "detail": letter.detail,
        "dxl_topic": letter.dxl_topic,
        "replayed_at": None if marker is None else marker.replayed_at,
        "replayed_to": None if marker is None else marker.replayed_to,
        "partition": letter.record.partition,
        "offset": letter.record.offset,
        "bytes": len(letter.payload),
        "first_bytes": text_of(letter.payload[:_FIRST_BYTES]),
    }


def whole(letter: Letter, marker: Marker | None) -> dict[str, Any]:
    """All of a letter; the payload is base64, since it may be no text."""
    said = summary(letter, marker)
    del said["first_bytes"]
    size = letter.record.header("original_size")
    return {
        **said,
        "meaning": _MEANINGS.get(letter.reason, ""),
        "dxl_client": letter.dxl_client,
        "forwarder": letter.record.header("ce_forwarder"),
        "forwarder_version": letter.record.header("forwarder_version"),
        "original_size": int(size) if size.isascii() and size.isdigit() and len(size) < 20 else None,
        "sha256": letter.record.header("sha256") or None,
        "payload_base64": base64.b64encode(letter.payload).decode(),
    }


def json_line(said: dict[str, Any]) -> str:
    """One line of JSON, in ASCII; JSON escapes all controls but DEL."""
    return json.dumps(said).replace("\x7f", "\\u007f")


def entry(letter: Letter, marker: Marker | None) -> str:
    """Three lines of a list."""
    said = summary(letter, marker)
    state = "not replayed" if marker is None else f"replayed {printable(marker.replayed_at)}"
    more = "..." if len(letter.payload) > _FIRST_BYTES else ""
    return (
        f"{said['received_at']}  {printable(letter.reason)}  {letter.event_id}  {state}\n"
        f"    {printable(letter.detail)}\n"
        f"    {len(letter.payload)} bytes: {printable(said['first_bytes'])}{more}"
    )


def page(letter: Letter, marker: Marker | None) -> str:
    """A letter whole: what is said of it, and its payload."""
    said = whole(letter, marker)
    replayed = "no" if marker is None else f"{marker.replayed_at}, to {marker.replayed_to}"
    place = f"{letter.record.topic}, partition {letter.record.partition}, offset {letter.record.offset}"
    cut = "" if said["original_size"] is None else f", of a record of {said['original_size']} that Kafka refused"
    lines = {
        "event id": letter.event_id,
        "received at": said["received_at"],
        "reason": f"{letter.reason}: {said['meaning']}" if said["meaning"] else letter.reason,
        "detail": letter.detail,
        "dxl topic": letter.dxl_topic,
        "dxl client": letter.dxl_client,
        "published by": f"{said['forwarder']}, version {said['forwarder_version']}",
        "stands in": place,
        "replayed": replayed,
        "payload": f"{len(letter.payload)} bytes{cut}",
    }
    head = "\n".join(f"{name:<12}  {printable(value)}" for name, value in lines.items() if value)
    return f"{head}\n\n{printable_lines(text_of(letter.payload))}"


def _time(letter: Letter) -> str:
    """The time of receipt; anybody may have written one that no calendar has."""
    text = rfc3339_milliseconds(letter.received_at_ms)
    return "unknown time" if text is None else text.decode()


_INTERRUPTED = 130


@click.command(name="dead-letters")
@config_options
@selection_options
@click.option("--limit", type=Count(), help="Only the newest so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--show", "wanted", metavar="ID", help="Show the letter with this ce_id whole, its payload escaped.")
@click.option("--raw", is_flag=True, help="With --show: the payload's bytes and nothing else; not to a terminal.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --show: the payload's bytes to this file, which must not exist.",
)
def dead_letters(
    config: Path | None,
    overrides: Mapping[str, str],
    since: int | None,
    reasons: Sequence[str],
    limit: int | None,
    as_json: bool,
    wanted: str | None,
    raw: bool,
    output: Path | None,
) -> int:
    """List dead letters, or show one.

    Each with time of receipt, reason, id, whether it was replayed, detail and the first bytes of its payload; the
    oldest first within each partition, with --limit over all. Changes nothing, and joins no consumer group.
    """
    if wanted is None and (raw or output):
        raise click.UsageError("--raw and --output go with --show")
    if wanted is not None and (since is not None or reasons or limit):
        raise click.UsageError("--since, --reason and --limit do not go with --show")
    if sum((raw, output is not None, as_json)) > 1 and wanted is not None:
        raise click.UsageError("give one of --raw, --output and --json")
    if raw and sys.stdout.isatty():
        raise click.UsageError("--raw writes bytes that could drive the terminal: send them to a pipe or a file")
    from tie_forwarder.config import load
    from tie_forwarder.dead_letters.letters import DeadLetterTopic, Interrupted, Selection
    from tie_forwarder.interruption import Interruption
    from tie_forwarder.kafka.queries import OutputReader
    from tie_forwarder.settings import connection_settings

    kafka = load(config, overrides=overrides).kafka
    logging.getLogger("kafka").addHandler(logging.NullHandler())  # what it has to say stands in the errors
    reader = OutputReader(connection=connection_settings(kafka), topics=[kafka.topics.dead_letter])
    with Interruption() as interruption, reader:
        ends = reader.ends(committed=True)
        topic = DeadLetterTopic(reader=reader, ends=ends, interrupted=lambda: interruption.requested, steps=_Unseen())
        try:
            if wanted is None:
                _list(topic, Selection(since, frozenset(reasons)), limit, as_json)
            else:
                _show(topic, wanted, as_json=as_json, raw=raw, output=output)
        except Interrupted:
            return _INTERRUPTED
    return 0


def _list(topic: DeadLetterTopic, selection: Selection, limit: int | None, as_json: bool) -> None:
    from tie_forwarder.dead_letters.letters import packed

    markers = topic.markers()
    letters: Iterable[Letter] = filter(selection.takes, topic.letters())
    if limit is not None:
        letters = _newest(letters, limit)
    reasons: Counter[str] = Counter()
    replayed = 0
    for letter in letters:
        marker = markers.get(packed(letter.event_id))
        reasons[letter.reason] += 1
        replayed += marker is not None
        line = json_line(summary(letter, marker)) if as_json else entry(letter, marker)
        click.echo(line)
    told = ", ".join(f"{printable(reason)} {count}" for reason, count in reasons.most_common())
    click.echo(f"{reasons.total()} dead letters, {replayed} of them replayed{': ' if told else ''}{told}", err=True)


def _newest(letters: Iterable[Letter], limit: int) -> Iterator[Letter]:
    """The newest ones, the oldest of them first; no more than these are kept."""
    numbered = ((letter.received_at_ms, number, letter) for number, letter in enumerate(letters))
    return (letter for _, _, letter in sorted(heapq.nlargest(limit, numbered, key=lambda each: each[:2])))


def _show(topic: DeadLetterTopic, wanted: str, *, as_json: bool, raw: bool, output: Path | None) -> None:
    from tie_forwarder.dead_letters.letters import packed

    event_id = wanted.strip("{}").lower()
    # The last one, where a member has published it twice; all of them have the same payload.
    found: Letter | None = None
    for letter in topic.letters():
        found = letter if letter.event_id == event_id else found
    if found is None:
        remedy = "see `tie-forwarder dead-letters` for what is there; Kafka deletes what is older than its retention"
        raise ForwarderError(f"there is no dead letter with the id {event_id!r}", remedy=remedy)
    if output is not None:
        with new_file(output) as stream:
            stream.write(found.payload)
        click.echo(f"{len(found.payload)} bytes written to {output}", err=True)
    elif raw:
        sys.stdout.buffer.write(found.payload)
    else:
        marker = topic.markers().get(packed(event_id))
        click.echo(json_line(whole(found, marker)) if as_json else page(found, marker))


class _Unseen:
    """Steps that nobody watches: the list itself shows how far it is."""

    def begin(self, what: str, total: int) -> None:
        pass

    def left(self, count: int) -> None:
        pass
