"""Waiting for a broker without dxlclient: a plain connect costs nothing, a DXL client that fails leaks its threads."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

from dxlclient.client_config import DxlClientConfig

from tie_forwarder.backoff import Backoff

_CONNECT_SECONDS = 2.0


def broker_addresses(config_file: Path) -> list[tuple[str, int]]:
    """Host and port of each broker of a dxlclient.config, by name and by address, as dxlclient tries them itself.

    Empty when a proxy stands between, which we cannot try.
    """
    config = DxlClientConfig.create_dxl_config_from_file(str(config_file))
    if config._get_http_proxy():  # noqa: SLF001 - dxlclient offers nothing else
        return []
    hosts = [
        (host, int(broker.port)) for broker in config.brokers for host in (broker.host_name, broker.ip_address) if host
    ]
    return list(dict.fromkeys(hosts))


def wait_for_a_broker(
    addresses: list[tuple[str, int]], *, stop: threading.Event, on_refused: Callable[[str], None]
) -> bool:
    """Blocks until one of the addresses accepts a connection, or until `stop`; false in the latter case."""
    backoff = Backoff(first_seconds=0.2, most_seconds=3.0)
    while not stop.is_set():
        if not addresses:
            return True
        for host, port in addresses:
            try:
                socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
            except OSError as error:
                on_refused(f"{host}:{port}: {error.strerror or error}")
            else:
                return True
        stop.wait(backoff.next_seconds())
    return False
