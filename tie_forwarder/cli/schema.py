"""`tie-forwarder schema`: the JSON Schema of the records, for the teams that read them."""

from __future__ import annotations

import json

import click

from tie_forwarder.events.kinds import KINDS
from tie_forwarder.events.schema import json_schema


@click.command
@click.argument("kind", type=click.Choice(list(KINDS)), default="detection", metavar="[KIND]")
def schema(kind: str) -> None:
    """Print the JSON Schema of an event.

    It is the schema (draft 2020-12) of the value of the records of KIND: detection (the default), first_instance,
    file_reputation_change or certificate_reputation_change.
    """
    click.echo(json.dumps(json_schema(KINDS[kind]), indent=2))
