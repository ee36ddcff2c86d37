"""`tie-forwarder schema`: the JSON Schema of the records, for the teams that read them."""

from __future__ import annotations

import json

import click

from tie_forwarder.errors import ForwarderError
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.records.formats import FORMATS


@click.command
@click.argument("kind", type=click.Choice(list(KINDS)), default="detection", metavar="[KIND]")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="json",
    show_default=True,
    help="The format of the records, as in kafka.format.",
)
def schema(kind: str, form: str) -> None:
    """Print the JSON Schema of an event.

    It is the schema (draft 2020-12) of the value of the records of KIND: detection (the default), first_instance,
    file_reputation_change or certificate_reputation_change. The same stands in the package, in tie_forwarder/schemas.
    """
    made = FORMATS[form].schema
    if made is None:
        raise ForwarderError(
            f"records in the format {form} have no schema: they are the payload as it came",
            remedy=f"give one of {', '.join(name for name, other in FORMATS.items() if other.schema)} with --format",
        )
    click.echo(json.dumps(made(KINDS[kind]), indent=2))
