"""`tie-forwarder tail`: events as they arrive, from the fabric or from the topics in Kafka."""

from __future__ import annotations

import json
import os
import queue
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tie_forwarder.cli import Count, config_options
from tie_forwarder.events.message import TOPICS
from tie_forwarder.printing import printable, text_of

if TYPE_CHECKING:
    from tie_forwarder.config.kafka import Kafka
    from tie_forwarder.events.message import Message
    from tie_forwarder.kafka.queries import OutputRecord

_LOOK_UP_SECONDS = 0.2
_TITLES = {"detection": "Detection", "first_instance": "First instance"}
_OTHER_TITLE = "Reputation change"
_NUL = b"\0"
"""Payloads of TIE often end in it, and so do records in the format `raw`."""


@click.command
@config_options
@click.option(
    "--dxl-config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The dxlclient.config of the fabric, instead of the configured one.",
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(list(TOPICS)),
    multiple=True,
    help="This kind of event. May be repeated.  [default: those of dxl.events]",
)
@click.option("--kafka", "from_kafka", is_flag=True, help="From the topics in Kafka, as a consumer sees them.")
@click.option("--bootstrap", metavar="HOST:PORT", help="With --kafka: another broker than the configured ones.")
@click.option("--topic", "topics", multiple=True, help="With --kafka: this topic. May be repeated.")
@click.option("--from-beginning", is_flag=True, help="With --kafka: everything that is there, not only what arrives.")
@click.option("--count", type=Count(), help="End after so many.  [default: at Ctrl-C]")
def tail(
    config: Path | None,
    overrides: Mapping[str, str],
    dxl_config: Path | None,
    kinds: Sequence[str],
    from_kafka: bool,
    bootstrap: str | None,
    topics: Sequence[str],
    from_beginning: bool,
    count: int | None,
) -> None:
    """Print events as they arrive from the fabric.

    They are of the kinds that the configuration forwards. With --kafka, those that arrive in their topics. Disturbs
    nobody: on the fabric it is one more subscriber, in Kafka it joins no group.
    """
    if not from_kafka and (bootstrap or topics or from_beginning):
        raise click.UsageError("--bootstrap, --topic and --from-beginning go with --kafka")
    if from_kafka and dxl_config:
        raise click.UsageError("--dxl-config does not go with --kafka")
    if kinds and topics:
        raise click.UsageError("--kind does not go with --topic")
    from tie_forwarder.config import load

    given = {"kafka.bootstrap_servers": bootstrap} if bootstrap else {}
    need_no_file = bootstrap or dxl_config
    loaded = load(config or (_defaults_if_nothing_else() if need_no_file else None), overrides={**overrides, **given})
    chosen = kinds or loaded.dxl.events
    if from_kafka:
        names = topics or [loaded.kafka.topics.name_of(kind) for kind in chosen]
        _tail_kafka(loaded.kafka, list(dict.fromkeys(names)), from_beginning, count)
    else:
        _tail_fabric(dxl_config or loaded.dxl.config_file, list(dict.fromkeys(chosen)), count)


def _defaults_if_nothing_else() -> Path | None:
    """An empty file where there is no configuration: with a broker or fabric named, the defaults say the rest."""
    from tie_forwarder.config.loading import SEARCH

    return None if any(candidate.exists() for candidate in SEARCH) else Path(os.devnull)


def _tail_fabric(dxl_config: Path, kinds: Sequence[str], count: int | None) -> None:
    from tie_forwarder.errors import ForwarderError
    from tie_forwarder.interruption import Interruption
    from tie_forwarder.receiver.short_lived import connected_client

    messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
    printed = 0
    with Interruption() as interruption, connected_client(dxl_config) as fabric:
        fabric.receive(kinds, messages.put)
        while not interruption.requested and printed != count:
            try:
                message = messages.get(timeout=_LOOK_UP_SECONDS)
            except queue.Empty:
                if fabric.lost.is_set():
                    remedy = "see whether the broker runs, and start again"
                    raise ForwarderError("the connection to the fabric was lost", remedy=remedy) from None
            else:
                click.echo(fabric_text(message))
                printed += 1


def _tail_kafka(kafka: Kafka, topics: Sequence[str], from_beginning: bool, count: int | None) -> None:
    from tie_forwarder.interruption import Interruption
    from tie_forwarder.kafka.queries import OutputTail
    from tie_forwarder.settings import connection_settings

    printed = 0
    records = OutputTail(connection=connection_settings(kafka), topics=topics, from_beginning=from_beginning)
    with Interruption() as interruption, records:
        while not interruption.requested and printed != count:
            for record in records.poll(_LOOK_UP_SECONDS)[: None if count is None else count - printed]:
                click.echo(kafka_text(record))
                printed += 1


def fabric_text(message: Message) -> str:
    """A message as the samples of dxltieclient print it; one that is no event with its reason and its bytes."""
    from tie_forwarder.events.decoding import decode
    from tie_forwarder.events.kinds import BY_TOPIC
    from tie_forwarder.events.reasons import InvalidEventError

    kind = BY_TOPIC[message.topic]
    title = _TITLES.get(kind.name, _OTHER_TITLE)
    head = f"{title} on topic: {printable(message.topic)}"
    try:
        return f"{head}\n{_pretty(decode(kind, message.payload).fields)}"
    except InvalidEventError as error:
        return f"{head}\nno valid {title.lower()}: {printable(str(error))}\n{printable(text_of(message.payload))}"


def kafka_text(record: OutputRecord) -> str:
    """A record with its place, its id and the id of its schema, for a dead letter the reason, for a replay its time."""
    from tie_forwarder.records.dead_letter import REPLAYED_AT, REPLAYED_TIME, REPLAYED_TO
    from tie_forwarder.records.wire_format import split_registry_prefix

    head = f"{record.topic}[{record.partition}]@{record.offset} ce_id={printable(record.header('ce_id')) or '-'}"
    value = record.value or b""
    if reason := record.header("reason"):
        head += f" reason={printable(reason)}"
    else:
        schema_id, value = split_registry_prefix(value)
        head += "" if schema_id is None else f" schema={schema_id}"
    if replayed := record.header(REPLAYED_TIME):
        head += f" replayed={printable(replayed)}"
    if marked := record.header(REPLAYED_AT):
        return f"{head}\nmarker: was replayed at {printable(marked)} to {printable(record.header(REPLAYED_TO))}"
    try:
        return f"{head}\n{_pretty(json.loads(value.rstrip(_NUL)))}"
    except (ValueError, RecursionError):
        return f"{head}\n{printable(text_of(value))}"


def _pretty(document: Any) -> str:
    """As `MessageUtils.dict_to_json(document, True)` of dxlbootstrap; JSON escapes all controls but DEL."""
    text = json.dumps(document, sort_keys=True, indent=4, separators=(",", ": "))
    return text.replace("\x7f", "\\u007f")
