"""`tie-forwarder run`: the daemon."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from tie_forwarder.cli import config_options
from tie_forwarder.config import Config, ConfigError, load
from tie_forwarder.config.inspection import Inspection, inspect
from tie_forwarder.log import configure
from tie_forwarder.processes.memory import limit_malloc
from tie_forwarder.supervisor.reload import Reload
from tie_forwarder.supervisor.signals import captured_signals
from tie_forwarder.supervisor.supervisor import Supervisor


@click.command
@config_options
def run(config: Path | None, overrides: Mapping[str, str]) -> int:
    """Forward events until told to stop.

    SIGTERM and SIGINT drain the spool for at most shutdown.drain_seconds, a second one stops at once; SIGHUP reads the
    configuration, filter lists, certificates and secrets again. Nothing that the spool has accepted is lost either way.
    """

    def load_inspected() -> tuple[Config, Inspection]:
        loaded = load(config, overrides=overrides)
        found = inspect(loaded)
        if found.faults:
            raise ConfigError(found.faults)
        return loaded, found

    limit_malloc()
    loaded, found = load_inspected()
    configure(level=loaded.log.level, form=loaded.log.format)
    supervisor = Supervisor(loaded, found=found, reload=Reload(load_inspected))
    with captured_signals(supervisor.wishes):
        try:
            return supervisor.run()
        except OSError as error:
            # What a person can correct is a ForwarderError. This is not, and its traceback is needed.
            raise RuntimeError("an error that the daemon does not handle") from error
