"""`tie-forwarder healthcheck`: asks a running forwarder over HTTP, as a container's health check does."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import click

from tie_forwarder.cli import config_options
from tie_forwarder.config import load
from tie_forwarder.config.address import Address
from tie_forwarder.errors import ForwarderError

_TIMEOUT_SECONDS = 3
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what is bound everywhere is asked at home


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
    url = f"http://{address}{path}"
    status, text = _get(Address(_LOOPBACK.get(address.host, address.host), address.port), path, url)
    if status != 200:
        raise ForwarderError(f"{url} answered {status}: {' '.join(text.split())[:300]}")
    click.echo("ready" if ready else "alive")


def _get(address: Address, path: str, url: str) -> tuple[int, str]:
    # http.client, because urllib would go through the proxy that http_proxy names.
    connection = HTTPConnection(address.host, address.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(4096).decode("utf-8", "replace")
    except (OSError, HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ForwarderError(f"{url} gave no answer: {reason}", remedy="is the forwarder running?") from error
    finally:
        connection.close()
