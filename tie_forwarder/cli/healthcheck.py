"""`tie-forwarder healthcheck`: asks a running forwarder over HTTP, as a container's health check does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from tie_forwarder.cli import config_options
from tie_forwarder.cli.daemon import ask
from tie_forwarder.config import load
from tie_forwarder.errors import ForwarderError


@click.command
@config_options
@click.option("--ready", is_flag=True, help="Ask whether it takes events from the fabric, not only whether it lives.")
def healthcheck(config: Path | None, overrides: Mapping[str, str], ready: bool) -> None:
    """Ask a running forwarder whether it is well.

    Ends with 0 when it is, else with 1 and one sentence.
    """
    address = load(config, overrides=overrides).http.address
    if address is None or address.port == 0:
        raise ForwarderError("http.listen gives no address to ask", remedy="set it, as in 127.0.0.1:9469")
    path = "/readyz" if ready else "/healthz"
    status, text = ask(address, path, most_bytes=4096)
    if status != 200:
        raise ForwarderError(f"http://{address}{path} answered {status}: {' '.join(text.split())[:300]}")
    click.echo("ready" if ready else "alive")
