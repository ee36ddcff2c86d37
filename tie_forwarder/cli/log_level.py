"""`tie-forwarder log-level`: another log level for a running daemon."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from tie_forwarder.cli import config_options
from tie_forwarder.errors import ForwarderError
from tie_forwarder.log import LEVELS

_PATIENCE_SECONDS = 5.0


@click.command(name="log-level")
@click.argument("level", type=click.Choice(LEVELS))
@config_options
def log_level(level: str, config: Path | None, overrides: Mapping[str, str]) -> None:
    """Change the log level of a running forwarder.

    Of all its processes, until it starts again or reads its configuration again (SIGHUP), which has its own log.level.
    For the user that the daemon runs as, and for root; on the same machine, by the spool directory.
    """
    from tie_forwarder.config import load
    from tie_forwarder.log_level import ask
    from tie_forwarder.spool.inspect import holder_of

    directory = load(config, overrides=overrides).spool.directory
    holder = holder_of(directory)
    if holder is None:
        remedy = "start it, or set log.level in its configuration"
        raise ForwarderError(f"no forwarder runs with the spool directory {directory}", remedy=remedy)
    if not ask(directory, level, patience_seconds=_PATIENCE_SECONDS):
        message = f"process {holder} did not take the new level within {_PATIENCE_SECONDS:.0f} s"
        raise ForwarderError(message, remedy="see `tie-forwarder status`; it may hang, or be of an older version")
    click.echo(f"process {holder} logs from {level} on, until its next start or SIGHUP")
